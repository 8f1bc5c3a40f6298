"""The experiments of the papers on a cluster of Ray.

:func:`run` does what ``cargo xtask reproduce`` does on one machine. Every machine of the cluster
needs this package and Ray, but no shared file system: the program and the finished cells travel
through Ray.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

try:
    import ray
except ImportError as missing:
    raise ImportError("foretaste.ray needs Ray: pip install 'foretaste[ray]'") from missing

from foretaste import StrPath, _options

__all__ = ["run"]

# What `run` itself decides, and what makes no sense in parts.
_OURS = {"out", "shard", "merge", "jobs", "plan", "resume", "fresh", "quiet"}
# Characters of what a program said that an error repeats.
_TAIL = 2_000


def run(
    experiments: Iterable[str] = (),
    *,
    program: StrPath,
    out: StrPath,
    parts: int | None = None,
    cpus: int = 1,
    **options: Any,
) -> Path:
    """Runs experiments as tasks of Ray, and merges their cells into a directory of results.

    The cells are divided into parts as by ``cargo xtask reproduce --shard``. Cells that ``out``
    already has are not run again, so the same call goes on after an interruption. The parts that
    are finished are kept if others fail, or after Ctrl-C.

    Args:
        experiments: names of experiments; none for all.
        program: the program ``xtask``, built by ``cargo build --release --package xtask`` for the
            machines of the cluster.
        out: the directory of the results, on this machine.
        parts: number of tasks; as many as the cluster has CPUs, divided by ``cpus``, if it is not
            given. What is lost if a task is interrupted is its part.
        cpus: CPUs of a task, which runs as many cells at a time.
        options: those of ``cargo xtask reproduce``, such as ``scale="smoke"`` and ``seeds=5``. The
            folder that ``data_dir`` names must be at the same absolute path on all machines.

    Returns:
        The directory of the results, with ``report.html`` in it.
    """
    if isinstance(experiments, str):
        raise ValueError(f"experiments {experiments!r}; expected a list of names")
    if wrong := sorted(_OURS & options.keys()):
        raise ValueError(f"{wrong} cannot be set here: run() decides which parts run, and where to")
    if cpus < 1 or (parts is not None and parts < 1):
        raise ValueError(f"parts={parts}, cpus={cpus}; expected whole numbers, 1 or above")
    out, program = Path(out), Path(program)
    arguments = ["reproduce", *experiments, *_options(options)]
    if not ray.is_initialized():
        ray.init()
    if parts is None:
        parts = max(1, int(ray.cluster_resources().get("CPU", 1)) // cpus)

    shared = ray.put(program.read_bytes()), ray.put(_results(out))
    tasks = {}
    for part in (f"{at}/{parts}" for at in range(1, parts + 1)):
        task = ray.remote(_part).options(
            name=f"foretaste {part}", num_cpus=cpus, scheduling_strategy="SPREAD"
        )
        command = [*arguments, f"--jobs={cpus}", f"--shard={part}", "--quiet"]
        tasks[task.remote(*shared, command)] = part

    failed = []
    with tempfile.TemporaryDirectory(prefix="foretaste-") as folder:
        finished, waiting = [], list(tasks)
        try:
            while waiting:
                [done], waiting = ray.wait(waiting)
                try:
                    files, error = ray.get(done)
                except ray.exceptions.RayError as lost:
                    files, error = {}, str(lost)
                if error is not None:
                    failed.append(f"part {tasks[done]}: {error}")
                if "run.json" in files:
                    finished.append(_write(Path(folder) / str(len(finished)), files))
        finally:
            for rest in waiting:
                ray.cancel(rest)
            merged = None
            if finished:
                merged = _call([program, *arguments, f"--out={out}", "--merge", *finished])
    if failed:
        raise RuntimeError(
            f"{len(failed)} of {parts} parts failed; what is finished is kept in {out}, and the "
            "same call runs the others:\n" + "\n".join(failed)
        )
    if merged is not None:
        raise RuntimeError(f"the parts could not be merged: {merged}")
    return out


def _part(program: bytes, stored: dict[str, bytes], arguments: list[str]) -> tuple[dict, Any]:
    """The results of a part that `stored` does not have, and what was wrong, if anything."""
    with tempfile.TemporaryDirectory(prefix="foretaste-") as folder:
        out, file = _write(Path(folder) / "out", stored), Path(folder) / "xtask"
        file.write_bytes(program)
        file.chmod(0o700)
        error = _call([file, *arguments, f"--out={out}"])
        files = _results(out).items()
        new = {name: of for name, of in files if name == "run.json" or name not in stored}
        return new, error


def _call(command: list[Any]) -> str | None:
    """Runs a program, and returns what it said if it failed."""
    done = subprocess.run(list(map(os.fspath, command)), capture_output=True, text=True)
    if done.returncode == 0:
        return None
    return f"exit code {done.returncode}: {done.stderr.strip()[-_TAIL:]}"


def _results(out: Path) -> dict[str, bytes]:
    """The finished cells of a directory of results, and whose they are."""
    files = [*out.glob("run.json"), *out.glob("cells/*.json")]
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in files}


def _write(out: Path, files: dict[str, bytes]) -> Path:
    (out / "cells").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return out
