"""What a recommender would earn, before your users meet it.

* Logs: :func:`read_log`, :class:`Log`.
* Learning: :meth:`UserModel.fit`, :func:`train`, :class:`Recommender`.
* Judging: :func:`judge`, and :mod:`foretaste.ope` on arrays.
* Environments: :mod:`foretaste.gym`.
* Peers: :mod:`foretaste.sb3`, :mod:`foretaste.d3rlpy`, :mod:`foretaste.ray`.

Options are those of the program's commands, with ``_`` for ``-``: what ``foretaste train --help``
calls ``--percent 50`` is ``percent=50`` here. What is wrong with them, with a file or with a log is
a ``ValueError``, or an ``OSError`` where the system refuses, in the program's words. All work is
done without the interpreter's lock; Ctrl-C stops it, and the same call goes on where a training
stopped.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# The pool of the networks' library spins, which costs small networks more than it gives them.
os.environ.setdefault("CANDLE_NUM_THREADS", "1")

from foretaste import _core  # noqa: E402
from foretaste._core import Log as _Log  # noqa: E402
from foretaste._core import Recommender as _Recommender  # noqa: E402
from foretaste._core import Users  # noqa: E402

__all__ = ["Log", "Recommender", "UserModel", "Users", "judge", "read_log", "train"]

StrPath = str | os.PathLike


class Log:
    """Sessions of slates, with what was chosen and what it earned; made by :func:`read_log` and
    :meth:`from_arrow`. ``len`` is the number of sessions."""

    def __init__(self, core: _Log):
        self._core = core

    @staticmethod
    def from_arrow(
        table: Any,
        *,
        columns: Mapping[str, str] | None = None,
        name: str = "table",
        **options: Any,
    ) -> Log:
        """The log in a table of pandas, polars, pyarrow, DuckDB or anything else that has
        ``__arrow_c_stream__``: a row per step, with the columns of the schema.

        Args:
            table: the table; errors name its rows from 1.
            columns: what the table calls columns of the schema: ``{"session": "session_id"}``.
            name: what errors call it.
            options: those of ``foretaste describe``.
        """
        arguments = _options({"column": columns, **options})
        return Log(_core.Log._from_arrow(table, name, [*arguments, name]))

    def describe(self) -> dict[str, Any]:
        """What the log holds and what is wrong with it: what ``foretaste describe --json`` says."""
        return json.loads(self._core._describe())

    def save(self, path: StrPath, *, force: bool = False) -> None:
        """Writes the log as a cached log, which every command and :func:`read_log` read fast;
        ``force`` replaces a file that is there."""
        self._core._save(os.fspath(path), force)

    @property
    def name(self) -> str:
        """Its name."""
        return self._core.name

    @property
    def steps(self) -> int:
        """Number of slates."""
        return self._core.steps

    @property
    def impressions(self) -> int:
        """Number of items on all slates."""
        return self._core.impressions

    @property
    def items(self) -> list[str]:
        """The raw ids of the items."""
        return self._core.items

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._core.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return repr(self._core)


def read_log(
    path: StrPath | Sequence[StrPath],
    *,
    columns: Mapping[str, str] | None = None,
    **options: Any,
) -> Log:
    """Reads a log of any format that ``foretaste import`` knows.

    Args:
        path: a file, a folder, a pattern, a cached log, ``bundled:NAME``; or several.
        columns: what the file calls columns of the schema: ``{"session": "session_id"}``.
        options: those of ``foretaste describe``, such as ``skip_bad_rows=True``, ``sort=True``,
            ``list_separator=","``.
    """
    paths = [path] if isinstance(path, (str, os.PathLike)) else path
    arguments = _options({"column": columns, **options})
    return Log(_core.Log._read([*arguments, "--", *map(os.fspath, paths)]))


class UserModel:
    """Users learned from a log, in a folder that ``foretaste fit`` wrote."""

    def __init__(self, path: StrPath, report: dict[str, Any] | None = None):
        self.path = Path(path)
        #: What the fit said: how well choices of held-out sessions are predicted, beside simpler
        #: models. None where the users were not fitted by this object.
        self.report = report

    @staticmethod
    def fit(log: Log | StrPath, to: StrPath, **options: Any) -> UserModel:
        """Learns users from a log and writes them into the folder ``to``; options are those of
        ``foretaste fit``."""
        with _file_of(log) as path:
            return UserModel(to, _command("fit", [path], {"to": to, **options}))

    def users(self) -> Users:
        """The users as :mod:`foretaste.gym` takes them."""
        return Users.load(os.fspath(self.path))

    def trust(self, log: Log | StrPath, **options: Any) -> dict[str, Any]:
        """How far to trust these users: the answer of ``foretaste trust --json``."""
        with _file_of(log) as path:
            return _command("trust", [self.path], {"log": path, **options})

    def simulate(self, policy: Any, sessions: int, to: StrPath, **options: Any) -> Log:
        """Plays a policy against the users, ``uniform`` or a recommender, and writes what happened
        as the cached log ``to``."""
        options = {"policy": _named(policy), "sessions": sessions, "to": to, **options}
        _command("simulate", [self.path], options)
        return read_log(to)

    def __repr__(self) -> str:
        return f"<UserModel {str(self.path)!r}>"


class Recommender:
    """A recommender of any kind, in a folder that :func:`train` or ``foretaste train`` wrote."""

    def __init__(self, core: _Recommender, report: dict[str, Any] | None = None):
        self._core = core
        #: What the training said. None where it was not trained by this call.
        self.report = report

    @staticmethod
    def load(path: StrPath) -> Recommender:
        """Reads a recommender."""
        return Recommender(_core.Recommender.load(os.fspath(path)))

    def recommend(
        self,
        histories: Iterable[Iterable[Any]],
        k: int,
        *,
        candidates: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        act: str | None = None,
        temperature: float = 1.0,
        epsilon: float = 0.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """What is shown after each history: raw ids, best first, ``k`` of them or as many as there
        are to choose among.

        Args:
            histories: for each user the raw ids of the items clicked, the oldest first; those that
                the recommender does not know are passed over.
            k: items to show.
            candidates: items to choose among; all, where they are not given.
            exclude: items to leave out.
            act: ``"top"`` for its likeliest items, ``"softmax"`` with ``temperature``; else as its
                kind does.
            epsilon: so many of the slates are drawn uniformly.
            seed: what drawn slates are drawn from.
        """
        return self._core._recommend(
            [_ids(history) for history in histories],
            k,
            None if candidates is None else _ids(candidates),
            _ids(exclude),
            act,
            temperature,
            epsilon,
            seed,
        )

    @property
    def path(self) -> Path:
        """The folder that it was read from."""
        return Path(self._core.path)

    @property
    def kind(self) -> str:
        """Of what kind it is."""
        return self._core.kind

    @property
    def items(self) -> list[str]:
        """The raw ids of the items that it knows."""
        return self._core.items

    def __repr__(self) -> str:
        return f"<Recommender {self.kind!r} in {str(self.path)!r}>"


def train(
    log: Log | StrPath,
    to: StrPath,
    *,
    method: str = "irecgan",
    users: UserModel | StrPath | None = None,
    **options: Any,
) -> Recommender:
    """Trains a recommender on a log, or in learned ``users``, and writes it into the folder ``to``;
    the methods and options are those of ``foretaste train``."""
    users = users.path if isinstance(users, UserModel) else users
    with _file_of(log) as path:
        report = _command("train", [path], {"to": to, "method": method, "users": users, **options})
    return Recommender(_core.Recommender.load(os.fspath(to)), report)


def judge(
    log: Log | StrPath,
    policies: Sequence[Any] | Mapping[str, Any],
    *,
    users: UserModel | StrPath | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Estimates from a log with propensities what policies would have earned: the answer of
    ``foretaste judge --json``.

    Args:
        log: the log.
        policies: each a :class:`Recommender`; a text as ``--policy`` takes it, such as
            ``"logger"``, ``"theirs.parquet"`` or ``"mine=folder,act=top"``; or, for a :class:`Log`,
            the probability of the item at each place of each slate given those before it, as an
            array ``[places]`` or ``[slates, k]`` in the order of the log, or a function that makes
            it of the log. A mapping gives them names.
        users: learned users who are asked too.
        options: those of ``foretaste judge``.
    """
    named = policies.items() if isinstance(policies, Mapping) else ((None, one) for one in policies)
    users = users.path if isinstance(users, UserModel) else users
    with _file_of(log) as path, tempfile.TemporaryDirectory(prefix="foretaste-") as folder:
        texts = []
        for at, (name, policy) in enumerate(named):
            if callable(policy):
                policy = policy(log)
            if not isinstance(policy, (str, os.PathLike, Recommender)):
                file = Path(folder) / f"policy-{at}.csv"
                _save_policy(log, file, policy)
                name, policy = name or f"policy-{at}", file
            text = _named(policy)
            texts.append(text if name is None else f"{name}={text}")
        return _command("judge", [], {"log": path, "policy": texts, "users": users, **options})


def _save_policy(log: Any, file: Path, probabilities: Any) -> None:
    if not isinstance(log, Log):
        raise ValueError(
            "probabilities belong to the slates of a log in memory: read it with read_log first"
        )
    array = np.asarray(probabilities)
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise ValueError(
            f"a policy of dtype {array.dtype} and shape {array.shape}; expected numbers of shape "
            f"({log.impressions},) or ({log.steps}, k)"
        )
    log._core._save_policy(os.fspath(file), np.ascontiguousarray(array.ravel(), np.float64))


class _file_of:
    """A log as a path: its own, or that of a cached log in a temporary folder."""

    def __init__(self, log: Log | StrPath):
        self._log = log
        self._folder: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> str:
        if not isinstance(self._log, Log):
            return os.fspath(self._log)
        self._folder = tempfile.TemporaryDirectory(prefix="foretaste-")
        # The file's name is the log's where that can be one.
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._log.name) or "log"
        path = Path(self._folder.name) / f"{name}.log"
        self._log.save(path)
        return os.fspath(path)

    def __exit__(self, *_: Any) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _named(policy: Any) -> str:
    if isinstance(policy, Recommender):
        return os.fspath(policy.path)
    return os.fspath(policy)


def _ids(ids: Iterable[Any]) -> list[str]:
    if isinstance(ids, (str, bytes)):
        raise ValueError(f"{ids!r} is one id; expected a list of ids")
    return [str(item) for item in ids]


def _command(name: str, paths: Sequence[StrPath], options: Mapping[str, Any]) -> Any:
    paths = [os.fspath(path) for path in paths]
    arguments = ["--quiet", name, *_options(options), *(["--", *paths] if paths else [])]
    return json.loads(_core.command(arguments))


def _options(options: Mapping[str, Any]) -> list[str]:
    """Options as a command line has them."""
    arguments = []
    for name, value in options.items():
        option = ("-" if len(name) == 1 else "--") + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(option)
            continue
        if isinstance(value, Mapping):
            value = [f"{ours}={theirs}" for ours, theirs in value.items()]
        elif isinstance(value, (str, os.PathLike)) or not isinstance(value, Iterable):
            value = [value]
        for one in value:
            text = os.fspath(one) if isinstance(one, (str, os.PathLike)) else str(one)
            arguments.append(f"{option}={text}")
    return arguments


def _main() -> int:
    """The program ``foretaste``."""
    import signal

    # The program has its own way to stop, which Python's would get in the way of.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _core.program(sys.argv)


def _remake_users(method: str, settings: dict[str, Any]) -> Users:
    """What a pickle of users calls."""
    return getattr(Users, method)(**settings)
