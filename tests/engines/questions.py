"""Every question of docs/ANALYSTS.md, as it stands there.

The answer must be the one that is shown, and where `spendbook query` takes the
same SQL, its answer must be the same to the last digit."""

import csv
import difflib
import io
import re
import subprocess
from datetime import date, datetime, timezone
from decimal import Decimal

BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```\n(?:\n```text\n(?P<answer>.*?)```\n)?", re.DOTALL)


def check(workspace, root, update) -> str:
    page = root / "docs" / "ANALYSTS.md"
    text = page.read_text()
    connection = workspace.duckdb()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) >= 20, len(blocks)
    both = 0

    def answered(block) -> str:
        nonlocal both
        sql = block["sql"]
        answer = connection.execute(sql)
        names = [column[0] for column in answer.description]
        rows = [[written(value) for value in row] for row in answer.fetchall()]
        if same_in_query(workspace, sql, names, rows):
            both += 1
        return f"```sql\n{sql}```\n\n```text\n{aligned(names, rows)}```\n"

    fresh = BLOCK.sub(answered, text)
    if update:
        page.write_text(fresh)
    elif fresh != text:
        shown = "".join(difflib.unified_diff(text.splitlines(True), fresh.splitlines(True), "docs/ANALYSTS.md", "now"))
        raise AssertionError(f"{shown}\ndocs/ANALYSTS.md shows other answers: run tests/engines/run.py --update")
    assert both >= 8, f"only {both} of the questions run in `spendbook query`, too"
    return f"{len(blocks)} answered, {both} of them by `spendbook query`, too"


def same_in_query(workspace, sql, names, rows) -> bool:
    """Whether `spendbook query` takes the SQL; then its answer is the same."""
    command = workspace.command("query", "--format", "csv", sql.strip().rstrip(";"))
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == 2:
        return False
    assert ran.returncode == 0, ran.stderr
    header, *found = csv.reader(io.StringIO(ran.stdout))
    assert header == names, (header, names)
    # Rows that are equal in what they are ordered by may come in any order.
    assert sorted(map(numbers, found)) == sorted(map(numbers, rows)), f"{sql}\n{found}\n{rows}"
    return True


def numbers(row) -> list:
    """Cells in which 1.50 is 1.5, as a text that can be sorted."""
    def cell(text):
        try:
            return str(Decimal(text).normalize() + 0)
        except ArithmeticError:
            return text.replace(".000Z", "Z")
    return [cell(text) for text in row]


def written(value) -> str:
    """A value as the program's CSV has it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        text = value.astimezone(timezone.utc).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z").replace(".000Z", "Z")
    if isinstance(value, (date, str)):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def aligned(names, rows) -> str:
    """A table of text, numbers to the right; long words are cut."""
    cut = [[cell if len(cell) <= 48 else f"{cell[:47]}…" for cell in row] for row in [names, *rows]]
    widths = [max(len(row[at]) for row in cut) for at in range(len(names))]
    is_number = [any(rows) and all(re.fullmatch(r"-?[\d.]*", row[at]) for row in rows) for at in range(len(names))]
    lines = []
    for row in cut:
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, is_number)]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)
