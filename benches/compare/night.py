#!/usr/bin/env python3
"""The whole night against DuckDB: logs in, usage, charges and rollup out, paired runs.

Spendbook runs `ingest` and `price`; DuckDB the queries of ingest.py and price.py
in one process. What they write is what those two say, and is compared first.

    python3 benches/compare/night.py --logs DIR [--runs 5] [--spendbook PATH]
"""

import shutil
import subprocess
from pathlib import Path

import ingest
import price


def main():
    arguments = ingest.parse_arguments()
    logs = Path(arguments.logs).resolve()
    python = ingest.environment(logs / ".venv")
    ours = str(Path(arguments.spendbook).resolve())
    work = price.workspace(logs, ".compare-night")
    night = ["/bin/sh", "-c", '"$0" ingest -q && "$0" price -q', ours]
    subprocess.run(night, cwd=work, check=True)
    price.tables(python, work)
    read = ingest.QUERY.format(logs=logs, out=work / "duckdb/usage")
    theirs = price.script(read, work, work / "duckdb/usage")
    pairs = []
    for run in range(arguments.runs + 1):  # the first pair warms the page cache up
        shutil.rmtree(work / "book", ignore_errors=True)
        a = ingest.measure(night, work)
        shutil.rmtree(work / "duckdb", ignore_errors=True)
        (work / "duckdb").mkdir()
        b = ingest.measure([python, "-c", theirs], work)
        if run == 0:
            # DuckDB's reading does not tell what a gateway refused from what failed.
            price.compare(python, work, errors="0")
        else:
            pairs.append((a, b))
            print(f"run {run}: spendbook {a[0]:.2f} s, duckdb {b[0]:.2f} s, {b[0] / a[0]:.2f} times", flush=True)
    ingest.report(pairs)


if __name__ == "__main__":
    main()
