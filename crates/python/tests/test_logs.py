"""Logs in memory: read, described, kept, and as Arrow's columns."""

import json
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest

import foretaste

ROWS = {
    "session": ["a", "a", "b"],
    "step": [0, 1, 0],
    "shown": [["x", "y"], ["z", "y"], ["y", "x"]],
    "chosen": ["x", None, "x"],
    "reward": [1.0, 0.0, 2.5],
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text("session,step,shown,chosen,reward\na,0,x y,x,1\na,1,z y,,0\nb,0,y x,x,2.5\n")
    return path


def program(*arguments):
    """The console script of the package."""
    command = [sys.executable, "-c", "import foretaste, sys; sys.exit(foretaste._main())"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)


def test_a_log_knows_what_it_holds(file):
    log = foretaste.read_log(file)
    assert (len(log), log.steps, log.impressions, log.name) == (2, 3, 6, "shop")
    assert log.items == ["x", "y", "z"]
    assert "2 sessions, 3 slates, 3 items" in repr(log)


def test_a_log_is_described_as_by_the_program(file):
    described = program("describe", file, "--json")
    assert foretaste.read_log(file).describe() == json.loads(described.stdout)


def test_columns_and_options_are_those_of_the_importer(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("visit;step;shown;chosen;reward\nb;0;x|y;x;1\na;0;x|z;;0\nb;1;y|z;y;1\n")
    options = dict(columns={"session": "visit"}, delimiter=";", list_separator="|")
    with pytest.raises(ValueError, match="mine.csv.*session"):
        foretaste.read_log(path, delimiter=";", list_separator="|")
    assert len(foretaste.read_log(path, **options, sort=True)) == 2


def test_errors_name_file_line_and_field(tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text("session,step,shown,chosen,reward\na,0,x y,w,1\n")
    with pytest.raises(ValueError, match=r"wrong.csv.*2.*chosen.*w"):
        foretaste.read_log(path)
    with pytest.raises(ValueError, match="there is no file"):
        foretaste.read_log(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="unexpected argument '--skip-rows'"):
        foretaste.read_log(path, skip_rows=3)


def test_what_is_kept_reads_as_the_same_log(file, tmp_path):
    log = foretaste.read_log(file)
    kept = tmp_path / "shop.log"
    log.save(kept)
    assert pa.table(foretaste.read_log(kept)) == pa.table(log)
    with pytest.raises(ValueError, match="exists"):
        log.save(kept)
    log.save(kept, force=True)
    with pytest.raises(OSError):
        log.save(tmp_path / "no folder" / "shop.log")


@pytest.mark.parametrize("frame", [pa.table(ROWS), pd.DataFrame(ROWS)], ids=["pyarrow", "pandas"])
def test_frames_are_read_as_files_are(frame, file):
    assert pa.table(foretaste.Log.from_arrow(frame)) == pa.table(foretaste.read_log(file))


def test_a_log_is_a_table_and_back():
    log = foretaste.read_log("bundled:simulated-mdp.csv")
    table = pa.table(log)
    assert table.num_rows == log.steps
    assert set(ROWS) <= set(table.column_names)
    again = foretaste.Log.from_arrow(table)
    assert pa.table(again) == table
    assert again.describe()["click_rate"] == log.describe()["click_rate"]
    # In batches as in one piece.
    batches = pa.Table.from_batches(table.to_batches(max_chunksize=100))
    assert pa.table(foretaste.Log.from_arrow(batches)) == table


def test_columns_of_a_frame_may_have_other_names():
    frame = pa.table({("visit" if name == "session" else name): of for name, of in ROWS.items()})
    with pytest.raises(ValueError, match="mine.*session"):
        foretaste.Log.from_arrow(frame, name="mine")
    assert len(foretaste.Log.from_arrow(frame, columns={"session": "visit"})) == 2


@pytest.mark.parametrize(
    "column, values, words",
    [
        ("shown", [1.5, 2.5, 3.5], "shown"),
        ("reward", ["a", "b", "c"], "reward"),
        ("chosen", ["w", None, "x"], "mine:1.*chosen.*w"),
        ("session", ["a", "b", "a"], "mine"),
        ("step", [0, 0, 0], "mine:2.*step"),
    ],
)
def test_what_is_wrong_with_a_frame_is_named(column, values, words):
    with pytest.raises(ValueError, match=words):
        foretaste.Log.from_arrow(pa.table({**ROWS, column: values}), name="mine")


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match="list has no __arrow_c_stream__"):
        foretaste.Log.from_arrow([1, 2])
    with pytest.raises(ValueError):
        foretaste.Log.from_arrow(pa.table({"session": pa.array([], pa.string())}))


def test_the_program_comes_with_the_package(file):
    assert program("--version").stdout.startswith("foretaste ")
    assert program("nonsense").returncode == 2
    assert program("describe", "nowhere.csv").returncode == 1
    assert "error: there is no file nowhere.csv" in program("describe", "nowhere.csv").stderr
