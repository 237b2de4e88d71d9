"""Whether the tables that engines wrote hold the same rows, column by column.

    python agree.py night|kept|ingest|price|limit BOOK NAME=DIR…

Every row of `usage`, `charges` and `rollup` is compared by a digest over all of
its columns, whatever the order of rows and files. Left out are `source_file`,
`source_line` (the engines have no line numbers), `price_id` (only spendbook's
names the digest of the price rows) and `reason` (the engines put it in fewer
words). Of `kept`, the rows of `usage` and `charges` have to be in order, too. Prints
what all came to.
"""

import sys
from pathlib import Path

import duckdb

LEFT_OUT = {"source_file", "source_line", "price_id", "reason"}
TABLES = {"ingest": ["usage"], "price": ["charges", "rollup"], "limit": ["usage"]}
ALL = ["usage", "charges", "rollup"]


def main(stage, book, *others):
    duckdb.execute("SET threads = 2; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    for table in TABLES.get(stage, ALL):
        columns = duckdb.sql(f"DESCRIBE FROM {files(book, table)}").fetchall()
        columns = [(name, kind) for name, kind, *_ in columns if name not in LEFT_OUT]
        ours = digest(book, table, columns)
        for name, directory in (other.split("=", 1) for other in others):
            if stage == "limit":
                ours = without_versions(book, directory, columns)
            elif digest(directory, table, columns) != ours:
                sys.exit(f"`{table}` of {name} is not what spendbook's is: {difference(book, directory, table, columns)}")
            if stage == "kept" and table != "rollup" and (count := out_of_order(directory, table)):
                sys.exit(f"`{table}` of {name} has {count:,} rows that belong before the one before them")
        print(f"{table}: {ours[0]:,} rows, {len(columns)} columns, the same in all", flush=True)
    if stage in ("price", "night", "kept"):
        for name, directory in [("spendbook", book), *(other.split("=", 1) for other in others)]:
            print(f"{name:12}{totals(directory)}", flush=True)


def files(directory, table):
    return f"read_parquet('{directory}/{table}/*/{table}.parquet', hive_partitioning = false)"


def comparable(name, kind):
    """A column in one type for all: some write times without a zone, counts in other widths."""
    return f'epoch_us("{name}")' if kind.startswith("TIMESTAMP") else f'CAST("{name}" AS {kind})'


def digest(directory, table, columns):
    """How many rows, and the sum of what each row hashes to."""
    row = ", ".join(comparable(*column) for column in columns)
    return duckdb.execute(f"SELECT count(*), sum(hash({row})::HUGEINT) FROM {files(directory, table)}").fetchall()[0]


def without_versions(book, directory, columns):
    """The limit merges nothing: only requests that come once are the same there."""
    duckdb.execute(f"CREATE TABLE once AS SELECT request_id FROM {files(directory, 'usage')} GROUP BY ALL HAVING count(*) = 1")
    row = ", ".join(comparable(*column) for column in columns)
    query = f"SELECT count(*), sum(hash({row})::HUGEINT) FROM {{}} SEMI JOIN once USING (request_id)"
    ours, theirs = (duckdb.execute(query.format(files(it, "usage"))).fetchall()[0] for it in (book, directory))
    if ours != theirs:
        sys.exit(f"`usage` of the limit is not what spendbook's is: {difference(book, directory, 'usage', columns)}")
    return ours


def out_of_order(directory, table):
    """How many rows of a day's file are earlier than the row before, by time and then by id."""
    days = sorted(Path(directory, table).glob(f"*/{table}.parquet"))
    query = """
        SELECT count(*) FROM (
            SELECT (ts, request_id) < lag((ts, request_id)) OVER (ORDER BY file_row_number) AS is_earlier
            FROM read_parquet('{}', file_row_number = true))
        WHERE is_earlier"""
    return sum(duckdb.execute(query.format(day)).fetchall()[0][0] for day in days)


def difference(book, directory, table, columns):
    """Names the columns that differ by themselves."""
    by_column = ", ".join(f"sum(hash({comparable(*column)})::HUGEINT)" for column in columns)
    query = f"SELECT count(*), {by_column} FROM {{}}"
    ours, theirs = (duckdb.execute(query.format(files(it, table))).fetchall()[0] for it in (book, directory))
    names = ["the number of rows", *(name for name, _ in columns)]
    return ", ".join(name for name, a, b in zip(names, ours, theirs) if a != b) or "rows are put together otherwise"


def totals(directory):
    """The sums that people look at, each to its last digit."""
    charges = "count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(cost), sum(cache_savings)"
    counts = duckdb.execute(f"SELECT {charges} FROM {files(directory, 'charges')}").fetchall()[0]
    (rolled,) = duckdb.execute(f"SELECT sum(cost) FROM {files(directory, 'rollup')}").fetchall()[0]
    requests, fresh, cached, output, cost, saved = counts
    return f"{requests:,} requests, {fresh:,} + {cached:,} + {output:,} tokens, {cost} USD, rollup {rolled} USD, cache {saved} USD"


if __name__ == "__main__":
    main(*sys.argv[1:])
