"""Experiments run on a cluster of Ray of two workers, and are merged as one process writes them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from foretaste.ray import run

ROOT = Path(__file__).parents[4]
# `cargo xtask python --peers` names itself.
XTASK = Path(os.environ.get("FORETASTE_XTASK", ROOT / "target/debug/xtask"))
pytestmark = pytest.mark.usefixtures("cluster")

WHAT = {"experiments": ["regularisers"], "scale": "smoke", "seeds": 2}
TABLES = ["results.csv", "curves.csv", "claims.csv"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process writes."""
    out = tmp_path_factory.mktemp("alone") / "out"
    command = [XTASK, "reproduce", *WHAT["experiments"], "--scale=smoke", "--seeds=2"]
    subprocess.run([*command, f"--out={out}"], check=True, capture_output=True)
    return out


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o700)
    return path


def cells(out):
    return sorted(path.name for path in out.glob("cells/*.json"))


def test_the_tables_are_those_of_one_process(alone, tmp_path):
    assert run(**WHAT, program=XTASK, out=tmp_path / "out", parts=3) == tmp_path / "out"
    assert (tmp_path / "out/report.html").exists()
    for table in TABLES:
        assert (tmp_path / "out" / table).read_bytes() == (alone / table).read_bytes(), table


def test_what_is_finished_is_kept_and_the_same_call_goes_on(alone, tmp_path):
    out, seen = tmp_path / "out", tmp_path / "seen"
    seen.mkdir()
    unlucky = f'case "$*" in *--shard=2/3*) echo no luck >&2; exit 1;; esac\nexec {XTASK} "$@"\n'
    with pytest.raises(RuntimeError, match="1 of 3 parts failed.*\n.*part 2/3: .*no luck"):
        run(**WHAT, program=script(tmp_path / "unlucky", unlucky), out=out, parts=3)
    kept = cells(out)
    assert 0 < len(kept) < len(cells(alone))

    # What every part says that it ran.
    recorded = (
        f'{XTASK} "$@" || exit\n'
        'for a in "$@"; do case "$a" in --out=*) out="${a#--out=}";; esac; done\n'
        f'cp "$out/run.json" {seen}/${{RAY_RAYLET_PID:-here}}-$$\n'
    )
    run(**WHAT, program=script(tmp_path / "recorded", recorded), out=out, parts=2)
    assert cells(out) == cells(alone)
    ran = [json.loads(file.read_text())["cells"]["run"] for file in seen.iterdir()]
    # The parts, and the merge, which runs none.
    assert len(ran) == 3 and sum(ran) == len(cells(alone)) - len(kept)
    machines = {file.name.split("-")[0] for file in seen.iterdir()}
    assert len(machines) == 3 and "here" in machines
    assert (out / "results.csv").read_bytes() == (alone / "results.csv").read_bytes()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"shard": "1/2"}, r"\['shard'\] cannot be set here"),
        ({"experiments": "regularisers"}, "expected a list of names"),
        ({"parts": 0}, "parts=0, cpus=1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        run(**{**WHAT, **changes}, program=XTASK, out=tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        run(**WHAT, program=tmp_path / "none", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_program_refuses_is_said_in_its_words(tmp_path):
    with pytest.raises(RuntimeError, match="magic"):
        run(["magic"], program=XTASK, out=tmp_path / "out", parts=1)
