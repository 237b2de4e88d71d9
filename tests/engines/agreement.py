"""Everything agrees with everything: mails, `status`, `top`, `query`, the state
of budgets, the page, exports and the Parquet files tell the same amounts, to the
last digit."""

import csv
import email
import email.policy
import io
import json
import re
from decimal import Decimal

import pyarrow.parquet as pq
from workspace import usd

MONTH = "date >= '2026-06-01' AND date < '2026-07-01'"
WEEK = "date >= '2026-06-08' AND date < '2026-06-15'"
# The pool of the demo is shared 60 to 40.
SHARES = {"chatbot": 60, "research": 40}


def check(workspace, _root, _update) -> str:
    connection = workspace.duckdb()
    compared = months(workspace, connection)
    compared += tops(workspace, connection)
    compared += weeks(workspace, connection)
    compared += alerts(workspace)
    compared += page(workspace, connection)
    compared += focus(workspace, connection)
    compared += formats(workspace)
    return f"{compared} amounts"


def sums(connection, by, where, table="charges") -> dict:
    """Amounts by a column of the Parquet files, with DuckDB's own sum."""
    answer = connection.execute(f'SELECT {by}, coalesce(sum(cost), 0) FROM {table} WHERE {where} GROUP BY 1')
    return {str(name) if name is not None else "": cost for name, cost in answer.fetchall()}


def months(workspace, connection) -> int:
    """Budgets of the month: status, the state for gateways, query, both tables."""
    status = workspace.rows("status")
    state = json.loads(workspace.run("export", "budget-state"))
    asked = {row["name"]: row for row in workspace.rows("query", "SELECT * FROM budgets")}
    views = dict(connection.execute("SELECT coalesce(name, ''), spend FROM budgets").fetchall())
    by_team = sums(connection, "team", MONTH)
    assert by_team == sums(connection, "team", MONTH, "rollup"), "charges and rollup differ"
    pool = by_team["shared:search"]
    for row in status:
        name, spend = row["name"], usd(row["spend"])
        if row["scope"] == "team":
            mine = by_team[name] + share(pool, name)
            budget = state["teams"][name]["budgets"][0]
        else:
            mine = sum(by_team.values())
            budget = state["organization"]["budgets"][0]
        assert mine == spend == usd(budget["spend_usd"]), (name, mine, spend, budget)
        assert spend == usd(asked[name]["spend"]) == views[name], name
    return len(status) * 5


def share(pool: Decimal, team: str) -> Decimal:
    """A team's part of a pool: down, and what is left goes to the first."""
    parts = {name: (pool * percent / 100).quantize(Decimal("1e-12"), "ROUND_DOWN") for name, percent in SHARES.items()}
    parts["chatbot"] += pool - sum(parts.values())
    return parts.get(team, Decimal(0))


def tops(workspace, connection) -> int:
    compared = 0
    for subject, column in [("models", "model_billed"), ("keys", "key"), ("users", '"user"')]:
        listed = workspace.rows("top", subject, "--period", "2026-06", "--limit", "10000")
        found = {}
        for row in listed:
            name = row[subject[:-1]]
            found[name] = found.get(name, Decimal(0)) + usd(row["cost"])
        ours = sums(connection, column, MONTH)
        spent = lambda amounts: {name: cost for name, cost in amounts.items() if cost}
        assert spent(found) == spent(ours), (subject, found, ours)
        asked = workspace.rows("query", f"SELECT {column} AS name, sum(cost) AS cost FROM charges WHERE {MONTH} GROUP BY 1")
        assert spent({row["name"]: usd(row["cost"]) for row in asked}) == spent(ours), subject
        compared += 3 * len(ours)
    return compared


def weeks(workspace, connection) -> int:
    """The weekly mails' figures, from their attached CSV."""
    compared = 0
    by_team = sums(connection, "team", WEEK)
    own = lambda team: WEEK if team is None else f"{WEEK} AND team = '{team}'"
    # A key stands in a mail under the name that is registered for it.
    mails = list(attached(workspace, "weekly-"))
    assert len(mails) == 4, [name for name, _ in mails]
    for name, rows in mails:
        team = None if name.startswith("organization") else name.split("-")[1]
        # A pool is divided for the week as a whole: its days and models are not.
        parts = {"day": "date", "model": "model_billed", "user": '"user"'} if team in (None, "analytics") else {}
        for kind, column in parts.items():
            ours = sums(connection, column, own(team))
            told = [(row["name"], usd(row["cost_usd"])) for row in rows if row["kind"] == kind and row["name"]]
            assert told, (name, kind)
            for what, cost in told:
                assert ours.get(what, 0) == cost, (name, kind, what, cost, ours.get(what))
            compared += len(told)
        (total,) = [usd(row["cost_usd"]) for row in rows if row["kind"] == "total"]
        mine = sum(by_team.values()) if team is None else by_team[team] + share(by_team["shared:search"], team)
        assert total == mine, (name, total, mine)
        compared += 1
        if team is None:
            told = {row["name"]: usd(row["cost_usd"]) for row in rows if row["kind"] == "team"}
            listed = workspace.rows("top", "teams", "--period", "2026-06-08..2026-06-15")
            assert told == {row["team"]: usd(row["cost"]) for row in listed}, (told, listed)
            compared += len(told)
    return compared


def alerts(workspace) -> int:
    """What threshold alerts say was spent is what `status` says."""
    spend = {row["name"]: usd(row["spend"]) for row in workspace.rows("status")}
    told = {}
    for _, rows in attached(workspace, "alert-"):
        for row in rows:
            if (row["alert"], row["measure"]) == ("threshold", "spend_usd"):
                told[row["name"]] = usd(row["value"])
    assert len(told) >= 2, told
    for name, amount in told.items():
        assert spend[name] == amount, (name, amount, spend[name])
    return len(told)


def attached(workspace, prefix):
    """The CSV of each mail, with its name."""
    for path in sorted((workspace.book / "outbox" / "pending").glob(f"{prefix}*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for part in message.walk():
            if part.get_content_type() == "text/csv":
                yield part.get_filename(), list(csv.DictReader(io.StringIO(part.get_content())))


def page(workspace, connection) -> int:
    """Every sum in the page that `report html` writes: team, model and day."""
    path = workspace.directory / "page.html"
    workspace.run("report", "html", "--period", "2026-06", "--output", str(path))
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1]
    data = json.loads(text)
    assert data["step"] == "day", data["step"]
    days = [first for first, _ in data["slots"]]
    told = {}
    for cell in data["cells"]:
        team, (model, provider) = data["teams"][cell["team"]]["id"], data["models"][cell["model"]]
        for day, pico in zip(days, cell.get("cost", "").split(",")):
            if pico:
                told[team, provider, model, day] = Decimal(pico).scaleb(-12)
    ours = connection.execute(
        "SELECT team, provider, model_billed, CAST(date AS VARCHAR), sum(cost) "
        f"FROM charges WHERE {MONTH} GROUP BY ALL HAVING sum(cost) > 0"
    ).fetchall()
    ours = {tuple(names): cost for *names, cost in ours}
    assert told == ours, set(told.items()) ^ set(ours.items())
    return len(told)


def focus(workspace, connection) -> int:
    """The FOCUS dataset, as Parquet and as CSV: team, model and day."""
    directory = workspace.directory / "focus"
    workspace.run("export", "focus", "--month", "2026-06", "--output", str(directory))
    files = directory / "billing_period=2026-06"
    told = connection.execute(
        "SELECT SubAccountId, x_Provider, x_Model, CAST(CAST(ChargePeriodStart AS DATE) AS VARCHAR), sum(BilledCost), sum(ListCost) "
        f"FROM '{files}/focus.parquet' GROUP BY ALL HAVING sum(BilledCost) > 0"
    ).fetchall()
    ours = connection.execute(
        "SELECT team, provider, model_billed, CAST(date AS VARCHAR), sum(cost), sum(list_cost) "
        f"FROM charges WHERE {MONTH} GROUP BY ALL HAVING sum(cost) > 0"
    ).fetchall()
    assert set(told) == set(ours), set(told) ^ set(ours)
    with open(files / "focus.csv", newline="") as file:
        in_csv = sum(usd(row["BilledCost"]) for row in csv.DictReader(file))
    assert in_csv == sum(row[4] for row in ours), in_csv
    return 2 * len(ours) + 1


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
