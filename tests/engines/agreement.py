"""Commands and Parquet tell the same amounts, to the last digit: `status`, `top`,
`query`, the state of budgets, `reconcile`."""

import json
from decimal import Decimal

from workspace import MONTH, share, sums, usd

COUNTS = {
    "requests": "count(*)",
    "unpriced_requests": "count(*) FILTER (basis = 'unpriced')",
    "estimated_requests": "count(*) FILTER (basis = 'fallback')",
    "estimated_cost": "coalesce(sum(cost) FILTER (basis = 'fallback'), 0)",
}


def check(workspace, _root, _update) -> str:
    connection = workspace.duckdb()
    compared = months(workspace, connection)
    compared += tops(workspace, connection)
    compared += reconciled(workspace, connection)
    return f"{compared} amounts"


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
            parts = [by_team[name], share(pool, name)]
            # A member of a pool sees all requests that it pays a part of.
            whose = f"team = '{name}'" + (" OR team = 'shared:search'" if parts[1] else "")
            budget = state["teams"][name]["budgets"][0]
        else:
            parts, whose = [sum(by_team.values()), Decimal(0)], "true"
            budget = state["organization"]["budgets"][0]
        assert sum(parts) == spend == usd(budget["spend_usd"]), (name, parts, spend, budget)
        assert spend == usd(asked[name]["spend"]) == views[name], name
        assert parts == [usd(row["own"]), usd(row["shared"])], (name, parts, row)
        counts = connection.execute(f"SELECT {', '.join(COUNTS.values())} FROM charges WHERE {MONTH} AND ({whose})").fetchone()
        assert list(counts) == [usd(row[column]) for column in COUNTS], (name, counts, row)
        limit = usd(row["budget"])
        assert limit == usd(budget["budget_usd"]) and limit - spend == usd(row["remaining"]), (name, row, budget)
    return len(status) * 13


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
    by_team = sums(connection, "team", MONTH)
    pool = by_team.pop("shared:search")
    listed = workspace.rows("top", "teams", "--period", "2026-06")
    told = {row["team"]: (usd(row["cost"]), usd(row["shared"])) for row in listed}
    ours = {team: (cost + share(pool, team), share(pool, team)) for team, cost in by_team.items()}
    assert told == ours, (told, ours)
    return compared + 2 * len(ours)


def reconciled(workspace, connection) -> int:
    """Both sides of `reconcile`, its causes, and what is in no log."""
    rows = workspace.rows("reconcile", "--from", "2026-06-01", "--to", "2026-06-18")
    for unit, causes in {
        "requests": ["not_logged", "edges", "unreported", "unexplained"],
        "tokens": ["not_logged", "usage", "edges", "unreported", "unexplained"],
        "cost": ["not_logged", "usage", "price", "edges", "unreported", "rounding", "unexplained"],
    }.items():
        for row in rows:
            if row[f"{unit}_difference"]:
                parts = sum(usd(row[f"{unit}_{cause}"]) for cause in causes)
                assert parts == usd(row[f"{unit}_difference"]), (unit, row)
    theirs = sums(connection, "provider", MONTH, "totals")
    ours = sums(connection, "provider", MONTH)
    for provider in ("groq", "openai"):
        of_provider = [row for row in rows if row["provider"] == provider]
        told = [sum(usd(row[f"cost_{side}"]) for row in of_provider) for side in ("ours", "theirs")]
        assert told == [ours.get(provider, 0), theirs[provider]], (provider, told, ours, theirs)
    past = connection.execute("SELECT provider, sum(requests), sum(cost) FROM unlogged GROUP BY provider ORDER BY provider").fetchall()
    listed = workspace.data("reconcile")["not_in_logs"]
    assert past == [(row["provider"], row["requests"], usd(row["cost"])) for row in listed], (past, listed)
    return 3 * len(rows) + 4 + 2 * len(past)
