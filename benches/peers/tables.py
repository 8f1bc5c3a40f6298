"""The times of polars and pyarrow for reading a log of our schema, for comparison with ours.

    tables.py --serve
        answers requests until its input ends. The first line it writes is
            {"name": "polars VERSION, pyarrow VERSION"}
        A request is one line of JSON:
            {"library": "polars", "work": "lists", "path": "log.csv", "rows": 1000, "items": 10}
        The answer is one line: {"seconds": TIME} of one run, or {"error": WHY}.
        `cargo xtask bench import` speaks this.

Work, of a CSV file whose lists are separated by blanks, or a Parquet file of lists of strings:
    lists      read the file, and split the lists of a CSV file
    codes      the same, and code the ids of the lists and of `chosen` as categories, numbers from 0

Both libraries use all cores. What comes out is checked: as many rows, and as many different ids,
as the log has.
"""

import argparse
import json
import sys
import time

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet


def main():
    parser = argparse.ArgumentParser(description="Times of polars and pyarrow for reading a log.")
    about = "answer requests from the standard input"
    parser.add_argument("--serve", action="store_true", required=True, help=about)
    parser.parse_args()
    say({"name": f"polars {pl.__version__}, pyarrow {pa.__version__}"})
    for line in sys.stdin:
        say(answer(line))


def say(message):
    print(json.dumps(message), flush=True)


def answer(line):
    try:
        request = json.loads(line)
        run = RUNS[request["library"]]
        begin = time.perf_counter()
        rows, items = run(request["path"], request["work"] == "codes")
        seconds = time.perf_counter() - begin
        if rows != request["rows"] or items not in (None, request["items"]):
            return {"error": f"{rows} rows and {items} items came out"}
        return {"seconds": seconds}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def with_polars(path, codes):
    ids = {"shown": pl.String, "chosen": pl.String}
    if path.endswith(".csv"):
        table = pl.read_csv(path, schema_overrides=ids).with_columns(pl.col("shown").str.split(" "))
    else:
        table = pl.read_parquet(path)
    if not codes:
        return table.height, None
    categories = pl.Categorical()
    lists, chosen = pl.col("shown"), pl.col("chosen")
    coded = table.with_columns(lists.cast(pl.List(categories)), chosen.cast(categories))
    numbers = coded["shown"].explode().to_physical()
    coded["chosen"].to_physical()
    return coded.height, numbers.max() + 1


def with_pyarrow(path, codes):
    if path.endswith(".csv"):
        types = {"shown": pa.string(), "chosen": pa.string()}
        table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=types))
        lists = pc.split_pattern(table["shown"], " ")
    else:
        table = pa.parquet.read_table(path)
        lists = table["shown"]
    if not codes:
        return len(lists), None
    coded = pc.list_flatten(lists).combine_chunks().dictionary_encode()
    pc.index_in(table["chosen"], value_set=coded.dictionary)
    return len(lists), len(coded.dictionary)


RUNS = {"polars": with_polars, "pyarrow": with_pyarrow}


if __name__ == "__main__":
    main()
