#!/usr/bin/env python3
"""Spendbook against DuckDB, ClickHouse and Polars, and how it grows.

    python3 benches/compare/run.py [PART…] [--lines 5000000] [--runs 3] [--spendbook PATH] [--profiled PATH]

Parts, all of them in this order where none is named:

    prepare   makes a virtual environment, the logs, and what is not built yet
    night     logs to usage, charges and rollup: every engine, runs alternating; the
              engines may leave rows in any order, and files to the system to write
    kept      the night as a book keeps it: rows in their order, files on disk
    ingest, price    a stage by itself, the same way (only where they are named)
    limit     ingest against a program that only reads the fields and writes them
    curves    rows, days, teams, price rows, files, days added to an old book
    report    results.md and a plot of what was measured, in the work directory

The rows of all engines are compared, column by column, before anything is
printed. Needs Python 3.11, Rust and, for the first time, a package index. Figures
are kept in results.json of the work directory, where a later call adds its own.
"""

import argparse
import filecmp
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import curves
import workspace
from measure import measure, median, ratios

HERE = Path(__file__).resolve().parent
ROOT = workspace.ROOT
PARTS = ["prepare", "night", "kept", "ingest", "price", "limit", "curves", "report"]
ENGINES = ["duckdb", "clickhouse", "polars"]


class Bench:
    """Where things are, and what was measured so far."""

    def __init__(self, arguments):
        self.work = Path(arguments.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.lines, self.runs, self.engines = arguments.lines, arguments.runs, arguments.engines
        self.largest, self.other_lines = arguments.largest, arguments.engine_lines
        self.target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
        self.spendbook = Path(arguments.spendbook or self.target / "release/spendbook").resolve()
        self.profiled = arguments.profiled and Path(arguments.profiled).resolve()
        self.python = environment()
        self.workload, self.limit = self.work / "workload", self.work / "cargo/release/limit"
        self.file = self.work / "results.json"
        self.results = json.loads(self.file.read_text()) if self.file.exists() else {}

    def build(self):
        if not self.spendbook.exists():
            subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
        subprocess.run(["rustc", "--edition", "2024", "-O", ROOT / "benches/workload.rs", "-o", self.workload], check=True)
        build = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", ROOT / "benches/limit/Cargo.toml"]
        subprocess.run([*build, "--target-dir", self.work / "cargo"], check=True)

    def canonical(self, lines=None):
        """Half a million lines a day, as the canonical workload has."""
        lines = lines or self.lines
        return workspace.logs(self.workload, self.work / f"logs-{lines}", lines, max(1, lines // 500_000))

    def place(self, name, pattern, teams=60):
        return workspace.workspace(self.work / "runs" / name, pattern, teams)

    def ours(self, work, stage="night", program=None):
        """A night into a book that is not there yet, or a stage of it."""
        book = work / "book"
        for stale in [book / "charges", book / "rollup"] if stage == "price" else [book]:
            shutil.rmtree(stale, ignore_errors=True)
        script = {"ingest": 'exec "$0" ingest -q', "price": 'exec "$0" price -q'}.get(stage, '"$0" ingest -q && "$0" price -q')
        return measure(["/bin/sh", "-c", script, program or self.spendbook], work)

    def theirs(self, engine, work, logs, stage="night"):
        out = work / engine
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = [self.python, HERE / f"with_{engine}.py", stage, logs, work, out]
        return measure(command, work, os.environ | {"POLARS_MAX_THREADS": "2"})

    def helper(self, script, *arguments):
        subprocess.run([self.python, HERE / script, *map(str, arguments)], check=True)

    def keep(self, name, value):
        self.results[name] = value
        self.results["machine"] = machine(self.spendbook, self.profiled)
        self.file.write_text(json.dumps(self.results, indent=1) + "\n")


def main():
    arguments = parse_arguments()
    bench = Bench(arguments)
    needed = [bench.spendbook, bench.workload] + ([bench.limit] if "limit" in arguments.parts else [])
    if not all(path.exists() for path in needed):
        bench.build()
    two_cores()
    for part in arguments.parts:
        begin = time.monotonic()
        print(f"== {part}", flush=True)
        if part == "prepare":
            bench.build()
            bench.canonical()
            curves.prepare(bench)
        elif part == "limit":
            limit(bench)
        elif part == "curves":
            curves.measure_all(bench)
        elif part == "report":
            bench.helper("report.py", bench.file, bench.work)
            if arguments.publish:
                shutil.copy(bench.work / "results.md", ROOT / "benches/RESULTS.md")
                shutil.copy(bench.work / "compare.svg", ROOT / "benches/compare.svg")
        else:
            against(bench, part)
        print(f"== {part}: {time.monotonic() - begin:.0f} s", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all but the stages by themselves")
    parser.add_argument("--lines", type=int, default=5_000_000, help="of the night")
    parser.add_argument("--runs", type=int, default=3, help="that are counted; one more comes before them")
    parser.add_argument("--spendbook", help="default: target/release/spendbook, built where it is missing")
    parser.add_argument("--profiled", help="what benches/profiled.sh built, to run beside it in the nights")
    parser.add_argument("--engines", default=",".join(ENGINES), type=lambda text: [name for name in text.split(",") if name])
    parser.add_argument("--work", default=ROOT / "target/compare", help="logs, books and results: 12 GB at full size")
    parser.add_argument("--largest", type=int, default=50_000_000, help="most lines of the curve of rows")
    parser.add_argument("--engine-lines", type=int, default=1_000_000, help="most lines of that curve for other engines")
    parser.add_argument("--publish", action="store_true", help="`report` writes benches/RESULTS.md and benches/compare.svg, too")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts or [part for part in PARTS if part not in ("ingest", "price")]
    if unknown := set(arguments.parts) - set(PARTS) | set(arguments.engines) - set(ENGINES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return arguments


def two_cores():
    """Whatever is started from here on has two cores, and so two threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:2]))


def environment():
    """The Python of an environment that has what requirements.txt names."""
    cache = Path(os.environ.get("SPENDBOOK_CACHE") or Path.home() / ".cache/spendbook")
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    directory = cache / f"compare-{digest}"
    python = directory / "bin/python"
    if not (directory / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements], check=True)
        (directory / "complete").touch()
    return python


def machine(spendbook, profiled):
    """What figures mean nothing without."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB",
        "commit": commit(),
        "binaries": [digest(program) for program in [spendbook, profiled] if program],
    }


def commit():
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def digest(program):
    """Not read as a whole: processes that are measured inherit this one's peak."""
    with open(program, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def against(bench, stage):
    """Every engine in turn, round after round; the first round is not counted.

    Each round begins with another one: whoever follows a large process finds
    other memory than whoever follows a small one.
    """
    logs = bench.canonical()
    work = bench.place(stage, f"{logs}/*")
    bench.ours(work)
    if bench.profiled:
        same_bytes(bench, work)
    bench.helper("workspace.py", "tables", work)
    programs = {"spendbook": bench.spendbook} | ({"profiled": bench.profiled} if bench.profiled else {})
    names = [*programs, *bench.engines]
    rounds = []
    for run in range(bench.runs + 1):
        found = dict.fromkeys(names)
        for name in names[run % len(names) :] + names[: run % len(names)]:
            ours = name in programs
            found[name] = bench.ours(work, stage, programs[name]) if ours else bench.theirs(name, work, logs, stage)
        if run == 0:
            bench.helper("agree.py", stage, work / "book", *(f"{engine}={work / engine}" for engine in bench.engines))
        else:
            rounds.append(found)
        print(f"round {run}: " + ", ".join(f"{name} {one['wall']:.2f} s" for name, one in found.items()), flush=True)
    shutil.rmtree(work)
    bench.keep(stage, {"lines": bench.lines, "commit": commit(), "rounds": rounds})
    table(rounds)


def same_bytes(bench, work):
    """Both programs write the same tables, byte for byte."""
    book, other = work / "book", work / "other"
    book.rename(other)
    bench.ours(work, program=bench.profiled)
    for file in sorted(other.glob("*/*/*.parquet")):
        if not filecmp.cmp(file, book / file.relative_to(other), shallow=False):
            sys.exit(f"error: {bench.profiled} wrote another {file.relative_to(other)} than {bench.spendbook}")
    shutil.rmtree(other)


def table(rounds, ours="spendbook"):
    print(f"{'':12}{'wall':>10} {'cpu':>10} {'peak':>11}   times as long, round by round")
    for name in rounds[0]:
        middle, least, most = ratios(rounds, ours, name)
        print(f"{name:12}{median(one[name] for one in rounds)}   {middle:.2f} ({least:.2f} to {most:.2f})", flush=True)


def limit(bench):
    """Ingest and its limit in turn."""
    logs = bench.canonical()
    work = bench.place("limit", f"{logs}/*")
    rounds = []
    for run in range(bench.runs + 1):
        found = {"spendbook": bench.ours(work, "ingest")}
        shutil.rmtree(work / "limit", ignore_errors=True)
        found["limit"] = measure([bench.limit, logs, work / "limit"], work)
        if run == 0:
            bench.helper("agree.py", "limit", work / "book", f"limit={work / 'limit'}")
        else:
            rounds.append(found)
    shutil.rmtree(work)
    bench.keep("limit", {"lines": bench.lines, "commit": commit(), "rounds": rounds})
    table(rounds, "limit")


if __name__ == "__main__":
    main()
