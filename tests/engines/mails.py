"""Mails tell what the Parquet has: their CSV to the last digit, and their text and
HTML as the program rounds it."""

import csv
import email
import email.policy
import io
import re
from html.parser import HTMLParser

from amounts import shown
from workspace import share, sums, usd

WEEK = "date >= '2026-06-08' AND date < '2026-06-15'"
BEFORE = "date >= '2026-06-01' AND date < '2026-06-08'"
COLUMNS = {"model": "model_billed", "key": "key", "user": '"user"', "team": "team"}
NOBODY = {"user": "not named", "team": "nobody's"}


def check(workspace, _root, _update) -> str:
    connection = workspace.duckdb()
    compared = weeks(workspace, connection)
    compared += alerts(workspace, connection)
    return f"{compared} amounts"


def weeks(workspace, connection) -> int:
    """The weekly mails: their attached CSV, and what stands in the mail itself."""
    mails = list(attached(workspace, "weekly-"))
    assert len(mails) == 4, [name for name, *_ in mails]
    compared = 0
    for name, rows, text, html in mails:
        team = None if name.startswith("organization") else name.split("-")[1]
        compared += week(connection, team, rows)
        compared += week_in_words(team, rows, text, html)
    everyone = next(rows for name, rows, *_ in mails if name.startswith("organization"))
    told = {row["name"]: usd(row["cost_usd"]) for row in everyone if row["kind"] == "team"}
    listed = workspace.rows("top", "teams", "--period", "2026-06-08..2026-06-15")
    assert told == {row["team"]: usd(row["cost"]) for row in listed}, (told, listed)
    return compared + len(told)


def week(connection, team, rows) -> int:
    """The CSV of a team's week, or everybody's: this week and the one before."""
    of_kind = lambda kind: [row for row in rows if row["kind"] == kind]
    own = lambda week: week if team is None else f"{week} AND team = '{team}'"
    compared = 0
    for kind in ("model", "key", "user"):
        ours, before = (sums(connection, COLUMNS[kind], own(part)) for part in (WEEK, BEFORE))
        # Of a model that two providers serve there are two rows.
        told = [(row["name"], usd(row["cost_usd"]), usd(row["cost_before_usd"])) for row in of_kind(kind)]
        assert told, (team, kind)
        # A key stands in a mail under the name that is registered for it.
        told = [row for row in told if not (kind == "key" and row[0] not in ours | before)]
        for what, cost, earlier in told:
            assert (ours.get(what, 0), before.get(what, 0)) == (cost, earlier), (team, kind, what, cost, earlier)
        assert sum(row[1] for row in told) == sum(ours.values()), (team, kind)
        compared += 2 * len(told) + 1
    (total,) = of_kind("total")
    for amount, week_ in ((usd(total["cost_usd"]), WEEK), (usd(total["cost_before_usd"]), BEFORE)):
        by_team = sums(connection, "team", week_)
        mine = sum(by_team.values()) if team is None else by_team[team] + share(by_team["shared:search"], team)
        assert amount == mine, (team, week_, amount, mine)
    count = connection.execute(f"SELECT count(*) FROM charges WHERE {own(WEEK)}").fetchone()[0]
    assert int(total["requests"]) == count, (team, total, count)
    # Days have their part of a pool, so that they come to the whole.
    days = of_kind("day")
    assert sum(usd(row["cost_usd"]) for row in days) == usd(total["cost_usd"]), (team, days)
    if team in (None, "analytics"):
        told = {row["name"]: usd(row["cost_usd"]) for row in days}
        assert told == sums(connection, "date", own(WEEK)), (team, told)
    change = sum(usd(row["cost_usd"]) for row in of_kind("change"))
    assert change == usd(total["cost_usd"]) - usd(total["cost_before_usd"]), (team, change)
    told = sum(usd(row["cost_usd"]) for row in of_kind("unlogged"))
    past = connection.execute(f"SELECT coalesce(sum(cost), 0) FROM unlogged WHERE {own(WEEK)}").fetchone()[0]
    assert told == past, (team, told, past)
    return compared + 5 + len(days)


def week_in_words(team, rows, text, html) -> int:
    """Each list of the mail: the biggest, rounded, in the order of their cost."""
    compared = 0
    cells = table_rows(html)
    heading = text.splitlines()[2]
    total = shown(next(row["cost_usd"] for row in rows if row["kind"] == "total"))
    assert f" spent {total}" in heading and re.search(rf"^Cost +{re.escape(total)} ", text, re.M), (team, heading, total)
    for kind in ("team", "model", "key", "user"):
        expected = [row for row in rows if row["kind"] == kind]
        if not expected:
            continue
        expected = [(row["name"] or NOBODY[kind], shown(row["cost_usd"])) for row in expected]
        section = re.search(rf"^{kind.title()}s\n-+\n(.*?)\n\n", text, re.M | re.S)[1]
        found = re.findall(r"^(\S.*?) {2,}(-?\$[\d,.]+) ", section, re.M)
        # A team's models have its part of shared keys below them.
        found = [it for it in found if it[0] in dict(expected)]
        assert found == expected[: len(found)] and len(found) >= min(len(expected), 3), (team, kind, found, expected)
        for row in found:
            assert any(it[:1] and it[0].startswith(row[0]) and row[1] in it for it in cells), (team, kind, row)
        compared += 2 * len(found)
    return compared + 2


class Rows(HTMLParser):
    """The cells of each row of each table, as text."""

    def __init__(self):
        super().__init__()
        self.rows, self.open = [], []

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.open.append([])
        elif tag == "td" and self.open:
            self.open[-1].append("")

    def handle_endtag(self, tag):
        if tag == "tr":
            self.rows.append([cell.strip() for cell in self.open.pop()])

    def handle_data(self, data):
        if self.open and self.open[-1]:
            self.open[-1][-1] += data


def table_rows(html) -> list:
    parser = Rows()
    parser.feed(html)
    return parser.rows


def alerts(workspace, connection) -> int:
    """What alerts say was spent is what `status` says, and what the Parquet has."""
    spend = {row["name"]: usd(row["spend"]) for row in workspace.rows("status")}
    told = {}
    compared = 0
    for _, rows, text, html in attached(workspace, "alert-"):
        for row in rows:
            amount = usd(row["value"]) if row["measure"].endswith("_usd") else None
            if (row["alert"], row["measure"]) == ("threshold", "spend_usd"):
                told[row["name"]] = amount
                assert shown(amount) in text and shown(amount) in html, (row, text)
            own = f"team = '{row['name']}'" if row["name"] else "true"
            if row["measure"] == "spend_usd" and row["alert"] == "spike":
                days = connection.execute(f"SELECT sum(cost) FROM charges WHERE date = '{row['period']}' AND {own}").fetchone()
                assert days == (amount,), (row, days)
                compared += 1
            kind = row["measure"].removesuffix("_cost_usd")
            if kind in COLUMNS:
                days = f"date = '{row['period']}'" if row["alert"] == "spike" else f"strftime(date, '%Y-%m') = '{row['period']}'"
                ours = sums(connection, COLUMNS[kind], f"{days} AND {own}")
                assert ours[row["item"]] == amount, (row, ours)
                compared += 1
    assert len(told) >= 2, told
    for name, amount in told.items():
        assert spend[name] == amount, (name, amount, spend[name])
    assert compared >= 20, compared
    return len(told) * 3 + compared


def attached(workspace, prefix):
    """The CSV of each mail, with its name, and the mail as text and as HTML."""
    for path in sorted((workspace.book / "outbox" / "pending").glob(f"{prefix}*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        parts = {part.get_content_type(): part for part in message.walk()}
        file = parts["text/csv"]
        rows = list(csv.DictReader(io.StringIO(file.get_content())))
        text = parts["text/plain"].get_content().replace("\r\n", "\n")
        yield file.get_filename(), rows, text, parts["text/html"].get_content()
