"""What is written for others tells what the Parquet has, to the last digit: the
page's data, the FOCUS dataset, the journal, and tables and reports as files."""

import csv
import json
import re
from decimal import Decimal
from urllib.parse import unquote

import pyarrow.parquet as pq
from workspace import MONTH, usd

# What the page calls it, and how it is made from charges.
BILLED = "CASE WHEN basis = 'free' THEN 0 ELSE {} END"
INPUT = " + ".join(f"coalesce({it}, 0)" for it in ("input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"))
MEASURES = {
    "requests": "1",
    "errors": "CASE WHEN status = 'error' THEN 1 ELSE 0 END",
    "unpriced": "CASE WHEN basis = 'unpriced' THEN 1 ELSE 0 END",
    "estimated": "CASE WHEN basis = 'fallback' THEN 1 ELSE 0 END",
    "prompt": BILLED.format(INPUT),
    "cached": BILLED.format("coalesce(cached_input_tokens, 0)"),
    "output": BILLED.format("coalesce(output_tokens, 0)"),
    "cost": "cost",
    "estimated_cost": "CASE WHEN basis = 'fallback' THEN cost ELSE 0 END",
    "cache_savings": "cache_savings",
    "batch_savings": "batch_savings",
}
# Whole pico-dollars, as the page has them.
MONEY = {"cost", "estimated_cost", "cache_savings", "batch_savings"}


def check(workspace, _root, _update) -> str:
    connection = workspace.duckdb()
    compared = page(workspace, connection)
    compared += focus(workspace, connection)
    compared += journals(workspace, connection)
    compared += tables(workspace, connection)
    compared += reports(workspace)
    compared += formats(workspace)
    return f"{compared} amounts"


def page(workspace, connection) -> int:
    """Every sum in the page that `report html` writes, day by day."""
    path = workspace.directory / "page.html"
    workspace.run("report", "html", "--period", "2026-06", "--output", str(path))
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1]
    data = json.loads(text)
    assert data["step"] == "day" and not data["hours_of_all"], data["step"]
    days = [first for first, _ in data["slots"]]
    teams = [team["id"] for team in data["teams"]]

    def told(series, is_money):
        for day, number in zip(days, series.split(",")):
            if number:
                yield day, Decimal(number).scaleb(-12) if is_money else int(number)

    def same(found, sql, what):
        """Each name and number against DuckDB's; those that are 0 are left out."""
        ours = {tuple(names): amount for *names, amount in connection.execute(sql).fetchall() if amount}
        assert found == ours, (what, set(found.items()) ^ set(ours.items()))
        return len(found)

    compared = 0
    for measure, of_row in MEASURES.items():
        found = {}
        for cell in data["cells"]:
            model, provider = data["models"][cell["model"]]
            for day, amount in told(cell.get(measure, ""), measure in MONEY):
                found[teams[cell["team"]], provider, model, day] = amount
        sql = f"SELECT team, provider, model_billed, CAST(date AS VARCHAR), sum({of_row}) FROM charges WHERE {MONTH} GROUP BY ALL"
        compared += same(found, sql, measure)
    for measure, of_row in (("requests", "count(*)"), ("cost", "sum(cost)")):
        for who, column in (("keys", "key"), ("users", '"user"')):
            found = {}
            for cell in data[who]["cells"]:
                name = data[who]["names"][cell["who"]][0]
                for day, amount in told(cell[measure], measure in MONEY):
                    found[teams[cell["team"]], name, day] = amount
            # Some users are only in the sum of all.
            names = "', '".join(name for name, _ in data[who]["names"])
            name = f"coalesce({column}, 'not named')"
            sql = f"SELECT team, {name}, CAST(date AS VARCHAR), {of_row} FROM charges WHERE {MONTH} AND {name} IN ('{names}') GROUP BY ALL"
            compared += same(found, sql, who)
    for measure, of_row in (("times", "count(*)"), ("requests", "sum(requests)"), ("cost", "sum(cost)")):
        found = {}
        for cell in data["violations"]:
            for day, amount in told(cell[measure], measure in MONEY):
                found[cell["kind"], teams[cell["team"]], day] = amount
        sql = f"SELECT kind, team, CAST(date AS VARCHAR), {of_row} FROM violations WHERE {MONTH} GROUP BY ALL"
        compared += same(found, sql, "violations")
    for measure in ("requests", "cost"):
        found = {}
        for cell in data["reconciled"]["unlogged"]:
            for day, amount in told(cell[measure], measure in MONEY):
                found[teams[cell["team"]], day] = amount
        sql = f"SELECT team, CAST(date AS VARCHAR), sum({measure}) FROM unlogged WHERE {MONTH} GROUP BY ALL"
        compared += same(found, sql, "unlogged")
    found = {}
    for team, slot, series in data["hours"]:
        for hour, number in enumerate(series.split(",")):
            if number:
                found[teams[team], days[slot], hour % 24] = Decimal(number).scaleb(-12)
    sql = f"SELECT team, CAST(date AS VARCHAR), hour(ts AT TIME ZONE 'UTC'), sum(cost) FROM charges WHERE {MONTH} GROUP BY ALL"
    return compared + same(found, sql, "hours")


def focus(workspace, connection) -> int:
    """The FOCUS dataset, as Parquet and as CSV: team, model and day."""
    directory = workspace.directory / "focus"
    workspace.run("export", "focus", "--month", "2026-06", "--output", str(directory))
    files = directory / "billing_period=2026-06"
    told = connection.execute(
        "SELECT SubAccountId, x_Provider, x_Model, CAST(CAST(ChargePeriodStart AS DATE) AS VARCHAR), sum(BilledCost), sum(ListCost), "
        "coalesce(sum(BilledCost) FILTER (x_CostBasis = 'Estimated'), 0) "
        f"FROM '{files}/focus.parquet' GROUP BY ALL HAVING sum(BilledCost) > 0"
    ).fetchall()
    ours = connection.execute(
        "SELECT team, provider, model_billed, CAST(date AS VARCHAR), sum(cost), sum(list_cost), "
        "coalesce(sum(cost) FILTER (basis = 'fallback'), 0) "
        f"FROM charges WHERE {MONTH} GROUP BY ALL HAVING sum(cost) > 0"
    ).fetchall()
    assert set(told) == set(ours), set(told) ^ set(ours)
    with open(files / "focus.csv", newline="") as file:
        in_csv = sum(usd(row["BilledCost"]) for row in csv.DictReader(file))
    assert in_csv == sum(row[4] for row in ours), in_csv
    metadata = json.loads((files / "metadata.json").read_text())
    unpriced = connection.execute(f"SELECT count(*) FROM charges WHERE {MONTH} AND basis = 'unpriced'").fetchone()[0]
    assert unpriced > 0 and f'"requests": {unpriced}' in json.dumps(metadata), metadata
    return 3 * len(ours) + 2


def journals(workspace, connection) -> int:
    """The journal, by team and by model: every transaction sums to nothing, and
    accounts have what charges have, with estimates and what has no price."""
    compared = 0
    for arguments, columns in (([], ["team"]), (["--models"], ["team", "model_billed"])):
        text = workspace.run("export", "hledger", "--period", "2026-06", *arguments)
        told = {}
        for day, provider, postings in transactions(text):
            assert sum(amount for _, amount, _ in postings) == 0, (day, provider, postings)
            *expenses, (owed_to, _, _) = postings
            assert owed_to == ["liabilities", "llm", provider], owed_to
            for account, amount, note in expenses:
                known, estimated, unpriced = told.get((day, provider, *booked(account)), (Decimal(0), Decimal(0), 0))
                if note == "estimated:":
                    estimated += amount
                elif note.startswith("unpriced: "):
                    unpriced += int(note.removeprefix("unpriced: "))
                told[day, provider, *booked(account)] = (known + amount, estimated, unpriced)
        rows = connection.execute(
            f"SELECT CAST(date AS VARCHAR), provider, {', '.join(columns)}, coalesce(sum(cost), 0), "
            "coalesce(sum(cost) FILTER (basis = 'fallback'), 0), count(*) FILTER (basis = 'unpriced') "
            f"FROM charges WHERE {MONTH} GROUP BY ALL HAVING sum(cost) > 0 OR count(*) FILTER (basis = 'unpriced') > 0"
        ).fetchall()
        ours = {tuple(names): (cost, estimated, unpriced) for *names, cost, estimated, unpriced in rows}
        assert told == ours, set(told.items()) ^ set(ours.items())
        assert any(it[1] for it in ours.values()) and any(it[2] for it in ours.values()), "nothing to compare"
        requests, cost, estimated, unpriced = re.search(r"^; (\d+) requests, ([\d.]+) USD, of which ([\d.]+) USD are estimated; (\d+) ", text, re.M).groups()
        whole = [sum(it[place] for it in ours.values()) for place in range(3)]
        assert [usd(cost), usd(estimated), int(unpriced)] == whole, (requests, cost, estimated, unpriced, whole)
        compared += 3 * len(ours) + 3
    return compared


def transactions(text):
    """The transactions of a journal: day, provider, and postings as an account's
    names, an amount and a comment."""
    for block in text.split("\n\n"):
        head, *lines = block.strip().splitlines()
        if not re.match(r"\d{4}-\d{2}-\d{2} ", head):
            continue
        day, described = head.split(" ", 1)
        postings = []
        for line in lines:
            account, amount, note = re.fullmatch(r" +(\S.*?) {2,}(-?[\d.]+) USD(?: +; (.*))?", line).groups()
            postings.append(([unquote(name) for name in account.split(":")], Decimal(amount), note or ""))
        yield day, described.split(" | ")[0], postings


def booked(account) -> tuple:
    """Whose an expense is, as `charges` has it, and of which model."""
    expenses, llm, kind, *names = account
    assert (expenses, llm) == ("expenses", "llm"), account
    if kind == "unattributed":
        return (None, *names)
    return (f"shared:{names[0]}" if kind == "pools" else names[0], *names[1:])


def tables(workspace, connection) -> int:
    """Every table as one CSV and one Parquet file: the same rows, nothing else."""
    compared = 0
    for table in [row["table"] for row in workspace.data("query", "--list")]:
        columns = connection.execute(f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}' ORDER BY column_index").fetchall()
        # An empty text and no value are one in CSV.
        text = lambda name, type_: f"nullif(\"{name}\", '')" if type_ == "VARCHAR" else f'"{name}"'
        whole = f"SELECT {', '.join(text(*column) for column in columns)} FROM {table}"
        paths = {format_: workspace.directory / f"{table}.{format_}" for format_ in ("csv", "parquet")}
        for format_, path in paths.items():
            workspace.run("export", format_, table, "--output", str(path))
        from_text = ", ".join(f"CAST(nullif(\"{name}\", '') AS {type_})" for name, type_ in columns)
        read = {
            "csv": f"SELECT {from_text} FROM read_csv('{paths['csv']}', all_varchar = true, header = true)",
            "parquet": f"SELECT {', '.join(text(*column) for column in columns)} FROM '{paths['parquet']}'",
        }
        connection.execute(f"CREATE OR REPLACE TEMP TABLE whole AS {whole}")
        (count,) = connection.execute("SELECT count(*) FROM whole").fetchone()
        assert count > 0 or table == "checks", table
        for format_, sql in read.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE exported AS {sql}")
            for one, other in (("exported", "whole"), ("whole", "exported")):
                left = connection.execute(f"FROM {one} EXCEPT ALL FROM {other}").fetchmany(2)
                assert not left, (table, format_, left)
            compared += count * len(columns)
    for table in ("charges", "rollup"):
        text = workspace.run("export", "csv", table, "--period", "2026-06-08..2026-06-15")
        told = sum(usd(row["cost"]) for row in csv.DictReader(text.splitlines()))
        ours = connection.execute(f"SELECT sum(cost) FROM {table} WHERE date >= '2026-06-08' AND date < '2026-06-15'").fetchone()
        assert ours == (told,), (table, told, ours)
        compared += 1
    return compared


def reports(workspace) -> int:
    """Reports as files are what their own commands write."""
    compared = 0
    for subject in ("models", "teams", "keys", "users"):
        listed = workspace.run("top", subject, "--period", "2026-06", "--limit", "10000", "--format", "csv")
        assert workspace.run("export", "csv", f"top-{subject}", "--period", "2026-06") == listed, subject
        compared += len(listed.splitlines()) - 1
    assert workspace.run("export", "csv", "status") == workspace.run("status", "--format", "csv")
    return compared


def formats(workspace) -> int:
    """A listing as CSV, JSON and Parquet: the same rows."""
    compared = 0
    for listing in (["top", "models", "--period", "2026-06"], ["query", "SELECT * FROM charges WHERE date = '2026-06-08'"]):
        path = workspace.directory / "listing.parquet"
        workspace.run(*listing, "--format", "parquet", "--output", str(path))
        rows = workspace.rows(*listing)
        table = pq.read_table(path)
        assert table.column_names == list(rows[0]), (table.column_names, list(rows[0]))
        in_json = workspace.data(*listing)
        assert len(in_json) == len(rows) == table.num_rows > 2, (len(in_json), len(rows), table.num_rows)
        amounts = [name for name in table.column_names if name in ("cost", "list_cost", "before")]
        assert "cost" in amounts, table.column_names
        for in_parquet, in_csv, other in zip(table.to_pylist(), rows, in_json):
            for name in amounts:
                told = [other[name], in_csv[name] or None]
                exact = [None if it is None else Decimal(it) for it in told]
                assert exact == [in_parquet[name]] * 2, (listing, name, told, in_parquet[name])
                compared += 3
    return compared
