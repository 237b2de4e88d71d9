"""The demo in a directory of its own, and the program to ask about it."""

import csv
import io
import json
import subprocess
from decimal import Decimal
from pathlib import Path

import duckdb

# When the demo's night is: it is said in its first line, too.
NOW = "2026-06-19T02:00:00Z"
# What is compared: the demo's last month.
MONTH = "date >= '2026-06-01' AND date < '2026-07-01'"
# The pool of the demo is shared 60 to 40.
SHARES = {"chatbot": 60, "research": 40}


class Workspace:
    def __init__(self, binary: Path, directory: Path) -> None:
        self.binary = binary
        self.directory = directory / "demo"
        self.book = self.directory / "book"
        ran = subprocess.run([binary, "demo", self.directory], capture_output=True, text=True, check=True)
        assert NOW in ran.stdout, ran.stdout

    def command(self, *arguments: str) -> list:
        return [str(self.binary), "--config", str(self.directory / "spendbook.toml"), "--now", NOW, *arguments]

    def run(self, *arguments: str) -> str:
        ran = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}: {ran.stderr}"
        return ran.stdout

    def rows(self, *arguments: str) -> list:
        """A listing as CSV, a dictionary per row."""
        return list(csv.DictReader(io.StringIO(self.run(*arguments, "--format", "csv"))))

    def data(self, *arguments: str):
        return json.loads(self.run(*arguments, "--format", "json"))

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with the views, as `duckdb -init views.sql` gives them."""
        views = self.directory / "views.sql"
        self.run("export", "views", "--output", str(views))
        connection = duckdb.connect()
        connection.execute(views.read_text())
        return connection

    def files(self, table: str) -> list:
        return sorted((self.book / table).glob("**/*.parquet"))


def usd(text: str) -> Decimal:
    """An amount as it is written in CSV; nothing is nothing known."""
    return Decimal(text or 0)


def sums(connection, by, where, table="charges") -> dict:
    """Amounts by a column of the Parquet files, with DuckDB's own sum."""
    answer = connection.execute(f'SELECT {by}, coalesce(sum(cost), 0) FROM {table} WHERE {where} GROUP BY 1')
    return {str(name) if name is not None else "": cost for name, cost in answer.fetchall()}


def share(pool: Decimal, team: str) -> Decimal:
    """A team's part of a pool: down, and what is left goes to the first."""
    parts = {name: (pool * percent / 100).quantize(Decimal("1e-12"), "ROUND_DOWN") for name, percent in SHARES.items()}
    parts["chatbot"] += pool - sum(parts.values())
    return parts.get(team, Decimal(0))
