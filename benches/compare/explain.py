#!/usr/bin/env python3
"""How long `explain` takes in a book of a hundred days.

Ingests and prices the canonical workload (benches/workload.rs), then links its
day files under further dates until there are a hundred, so that the book need
not be made of 17 GB of logs. The day that ids are taken from is there once, as in
a real book; an id that is in no file is looked for in all of them.

    python3 benches/compare/explain.py --logs DIR [--runs 5] [--spendbook PATH]
"""

import argparse
import datetime
import os
import random
import statistics
import subprocess
from pathlib import Path

import pyarrow.parquet as pq

from workspace import workspace

DAYS = 100


def main():
    arguments = parse_arguments()
    ours = str(Path(arguments.spendbook).resolve())
    logs = Path(arguments.logs).resolve()
    work = workspace(logs / ".compare-explain", f"{logs}/gateway-*.jsonl")
    for stage in ["ingest", "price"]:
        subprocess.run([ours, stage, "-q"], cwd=work, check=True)
    days = sorted(path.name for path in (work / "book/usage").iterdir())
    asked = days[len(days) // 2]
    rows = link(work / "book", days, [day for day in days[1:] if day != asked])
    names = pq.read_table(work / "book/usage" / asked / "usage.parquet", columns=["request_id"])
    ids = random.Random(1).sample(names["request_id"].to_pylist(), arguments.runs)
    print(f"{rows:,} rows in {DAYS} days")
    for what, wanted, status in [("an id", ids, 0), ("no id", [f"chatcmpl-none-{run}" for run in ids], 4)]:
        times = []
        for request in [wanted[0], *wanted]:  # the first one warms the page cache up
            begin = datetime.datetime.now()
            done = subprocess.run([ours, "explain", request], cwd=work, capture_output=True)
            assert done.returncode == status, done
            times.append((datetime.datetime.now() - begin).total_seconds())
        print(f"{what}: {statistics.median(times[1:]):.2f} s, at most {max(times[1:]):.2f} s")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logs", required=True, help="directory that benches/workload.rs wrote")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--spendbook", default="target/release/spendbook")
    return parser.parse_args()


def link(book, days, repeated):
    """Gives the files of some days to earlier dates; how many rows there are then."""
    first = datetime.date.fromisoformat(days[0].removeprefix("date="))
    for number in range(DAYS - len(days)):
        name = f"date={first - datetime.timedelta(days=number + 1)}"
        for table in ["usage", "charges", "rollup"]:
            target = book / table / name / f"{table}.parquet"
            target.parent.mkdir()
            os.link(book / table / repeated[number % len(repeated)] / target.name, target)
    return sum(pq.ParquetFile(path).metadata.num_rows for path in book.glob("usage/*/usage.parquet"))


if __name__ == "__main__":
    main()
