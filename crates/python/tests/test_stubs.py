"""The stubs say what the compiled part holds."""

import ast
import inspect
from pathlib import Path

import foretaste
from foretaste import _core

STUBS = ast.parse((Path(foretaste.__file__).parent / "_core.pyi").read_text())
# What every class has, in one form or another.
COMMON = set(dir(object)) | {"__module__"}


def parameters(function):
    arguments = function.args
    names = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    named = [argument.arg for argument in arguments.kwonlyargs]
    return [name for name in names if name != "self"], named


def found(function):
    of = list(inspect.signature(function).parameters.values())
    named = [one.name for one in of if one.kind == one.KEYWORD_ONLY]
    return [one.name for one in of if one.kind != one.KEYWORD_ONLY and one.name != "self"], named


def test_stubs_name_all_that_there_is():
    classes = {node.name: node for node in STUBS.body if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in STUBS.body if isinstance(node, ast.FunctionDef)}
    own = {name for name in vars(_core) if not name.startswith("__")}
    assert own == classes.keys() | functions.keys()
    for name, node in functions.items():
        assert found(getattr(_core, name)) == parameters(node), name
    for name, node in classes.items():
        members = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
        fields = {one.target.id for one in node.body if isinstance(one, ast.AnnAssign)}
        real = set(vars(getattr(_core, name))) - COMMON
        assert real == (members.keys() | fields) - {"__init__"}, name
        for method, stub in members.items():
            of = (
                getattr(_core, name)
                if method == "__init__"
                else getattr(getattr(_core, name), method)
            )
            assert found(of) == parameters(stub), f"{name}.{method}"
