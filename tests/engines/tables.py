"""The tables explain themselves: types that every engine takes for what they
are, and a description of each column, in the files and in the views."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.dataset as ds
import pyarrow.parquet as pq

# By what `query --describe` calls a type: what Arrow finds in a file, and the
# logical type in Parquet's own schema, which Spark and ClickHouse go by.
TYPES = {
    "TIMESTAMP WITH TIME ZONE": ("timestamp[us, tz=UTC]", "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds"),
    "VARCHAR": ("string", "String"),
    "BIGINT": ("int64", "None"),
    "SMALLINT": ("int16", "Int(bitWidth=16, isSigned=true)"),
    "BOOLEAN": ("bool", "None"),
    "DECIMAL(38,12)": ("decimal128(38, 12)", "Decimal(precision=38, scale=12)"),
}


def check(workspace, _root, _update) -> str:
    connection = workspace.duckdb()
    listed = workspace.data("query", "--list")
    described = 0
    for table in listed:
        name = table["table"]
        columns = workspace.data("query", "--describe", name)
        assert columns, name
        in_files = [column for column in columns if column["column"] != "date"]
        if table["days"] is not None:
            files = workspace.files(name)
            days = {part for path in files for part in path.parts if part.startswith("date=")}
            assert len(days) == table["days"], (name, len(days))
            for path in files:
                check_file(path, in_files)
            # The demo has no check source.
            assert files or name == "checks", name
            if files:
                check_directory(workspace.book / name, in_files, sum(pq.read_metadata(path).num_rows for path in files))
        check_view(connection, name, columns)
        described += len(columns)
    command(workspace, [table["table"] for table in listed])
    return f"{len(listed)} tables, {described} columns"


def check_file(path, columns) -> None:
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    assert schema.names == [column["column"] for column in columns], path
    for place, (field, column) in enumerate(zip(schema, columns)):
        arrow, logical = TYPES[column["type"]]
        assert str(field.type) == arrow, (path, field)
        found = str(file.schema.column(place).logical_type)
        assert found.startswith(logical), (path, field.name, found)
        assert field.nullable == column["nullable"], (path, field)
        # Where Arrow keeps it, and pyarrow, Polars and pandas show it.
        assert field.metadata == {b"description": column["meaning"].encode()}, (path, field.name, field.metadata)


# What the names of directories say, for readers that would guess at it.
DIRECTORIES = ds.partitioning(pyarrow.schema([("source", pyarrow.string()), ("date", pyarrow.date32())]), flavor="hive")


def check_directory(directory, columns, rows) -> None:
    """The directory of a table as a whole, as people read it first."""
    names = [column["column"] for column in columns]
    is_by_source = any(path.name.startswith("source=") for path in directory.iterdir())
    # What `pandas.read_parquet` does, too: it hands `partitioning` on.
    whole = pq.read_table(directory, partitioning=DIRECTORIES) if is_by_source else pq.read_table(directory)
    plain = pq.read_table(directory, partitioning=None)
    for table in [whole, plain, ds.dataset(directory).to_table(), ds.dataset(directory, partitioning="hive").to_table()]:
        assert (table.num_rows, table.schema.names[: len(names)]) == (rows, names), (directory, table.schema)
    if is_by_source:
        days = [at.date() for at in whole.column("bucket_start").to_pylist()]
        assert whole.column("date").to_pylist() == days, directory
        assert whole.column("source").equals(plain.column("source")), directory
        try:
            pq.read_table(directory)
        except pyarrow.lib.ArrowTypeError:
            return
        raise AssertionError("pyarrow now reads `totals` as it is: docs/ANALYSTS.md need not warn of it")


def check_view(connection, name, columns) -> None:
    sql = "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index"
    found = connection.execute(sql, [name]).fetchall()
    expect = [(column["column"], column["type"], column["meaning"]) for column in columns]
    assert found == expect, (name, set(found) ^ set(expect))
    (about,) = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = ?", [name]).fetchone()
    assert about, name


def command(workspace, names) -> None:
    """`duckdb -init views.sql`, as people begin: each table has as many rows as `query` finds."""
    duckdb = Path(sys.executable).parent / "duckdb"
    counts = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS rows FROM {name}" for name in names)
    ran = subprocess.run(
        [duckdb, "-init", "views.sql", "-csv", "-c", counts], cwd=workspace.directory, capture_output=True, text=True, check=True
    )
    found = {row["name"]: row["rows"] for row in csv.DictReader(io.StringIO(ran.stdout))}
    asked = {row["name"]: row["rows"] for row in workspace.rows("query", counts)}
    assert found == asked and found.keys() == set(names), (found, asked, ran.stderr)
