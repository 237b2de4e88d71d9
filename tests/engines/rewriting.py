"""The book is read while `spendbook price` rewrites it again and again.

A contract price comes and goes, so that the files of eighteen days are replaced
in every run. At each moment every glob has all of its days, every file is whole,
and the total of each day is the one from before or the one from after."""

import subprocess
import threading
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

HEADER = "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note\n"
CONTRACT = "".join(
    f"groq,llama-3.3-70b-versatile,*,{meter}_tokens,0.31,1M,,2026-06-01,,2026-06-01,contract,engines,a test\n"
    for meter in ("input", "output")
)
ROUNDS = 4


def check(workspace, _root, _update) -> str:
    contract = workspace.directory / "pricing" / "engines.csv"
    states = []
    for text in ("", CONTRACT):
        contract.write_text(HEADER + text)
        workspace.run("price")
        states.append({table: by_duckdb(workspace, table) for table in ("charges", "rollup")})
    changed = sum(states[0]["charges"][day] != states[1]["charges"][day] for day in states[0]["charges"])
    assert changed >= 15, f"only {changed} days have another total"

    failures = []
    done = threading.Event()

    def rewrite() -> None:
        try:
            for round_ in range(ROUNDS):
                contract.write_text(HEADER + (CONTRACT if round_ % 2 else ""))
                workspace.run("price")
        except Exception as error:  # noqa: BLE001: told by the one who waits
            failures.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    readers = {"DuckDB": by_duckdb, "pyarrow": by_pyarrow, "a dataset": by_dataset, "query": by_query}
    counts = dict.fromkeys(readers, 0)
    mixed = 0
    try:
        while not done.is_set():
            for name, read in readers.items():
                for table in ("charges", "rollup"):
                    found = read(workspace, table)
                    assert found.keys() == states[0][table].keys(), f"{name} misses days of {table}"
                    for day, total in found.items():
                        both = [state[table][day] for state in states]
                        assert total in both, f"{name}: {table} of {day}: {total}, expected one of {both}"
                    mixed += found not in [state[table] for state in states]
                    counts[name] += 1
    finally:
        writer.join()
    assert not failures, failures
    assert min(counts.values()) >= 4, counts
    contract.unlink()
    workspace.run("price")
    read = ", ".join(f"{count} by {name}" for name, count in counts.items())
    return f"{changed} days rewritten {ROUNDS} times, read whole: {read}; {mixed} times between two runs' states"


def by_duckdb(workspace, table) -> dict:
    """Requests and exact cost of each day; a connection of its own caches nothing."""
    requests = "count(*)" if table == "charges" else "sum(requests)"
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT CAST(date AS VARCHAR), {requests}, sum(cost) "
            f"FROM read_parquet('{workspace.book}/{table}/date=*/*.parquet', hive_partitioning = true) GROUP BY date"
        ).fetchall()
    return {day: (int(count), cost or Decimal(0)) for day, count, cost in rows}


def by_pyarrow(workspace, table) -> dict:
    """The same by pyarrow, file by file, a dataset for each day."""
    totals = {}
    columns = ["cost"] if table == "charges" else ["cost", "requests"]
    for path in workspace.files(table):
        read = ds.dataset(path, format="parquet").to_table(columns=columns)
        count = read.num_rows if table == "charges" else pc.sum(read["requests"]).as_py() or 0
        totals[path.parent.name.removeprefix("date=")] = (count, pc.sum(read["cost"]).as_py() or Decimal(0))
    return totals


def by_dataset(workspace, table) -> dict:
    """The same by pyarrow, as one dataset of the whole table."""
    wanted = {"charges": [([], "count_all")], "rollup": [("requests", "sum")]}[table]
    partitions = ds.partitioning(pa.schema([("date", pa.string())]), flavor="hive")
    read = ds.dataset(workspace.book / table, format="parquet", partitioning=partitions)
    columns = ["date", "cost"] + (["requests"] if table == "rollup" else [])
    grouped = read.to_table(columns=columns).group_by("date").aggregate([*wanted, ("cost", "sum")])
    totals = {day: (0, Decimal(0)) for day in (path.parent.name.removeprefix("date=") for path in workspace.files(table))}
    names = {"charges": "count_all", "rollup": "requests_sum"}
    for row in grouped.to_pylist():
        totals[row["date"]] = (row[names[table]] or 0, row["cost_sum"] or Decimal(0))
    return totals


def by_query(workspace, table) -> dict:
    """The same by `spendbook query`; days that are one step apart are told on standard error."""
    requests = "count(*)" if table == "charges" else "sum(requests)"
    sql = f"SELECT date, {requests} AS requests, sum(cost) AS cost FROM {table} GROUP BY date"
    while True:
        ran = subprocess.run(workspace.command("query", "--format", "csv", sql), capture_output=True, text=True, check=False)
        if "a run kept replacing" not in ran.stderr:
            break
    assert ran.returncode == 0, ran.stderr
    rows = [line.split(",") for line in ran.stdout.splitlines()[1:]]
    return {day: (int(count), Decimal(cost or 0)) for day, count, cost in rows}
