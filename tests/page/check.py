#!/usr/bin/env python3
"""Opens the page of the demo's book in Chromium and holds what it shows against
what `top`, `status` and `query` say, to the last digit.

    tests/page/check.py SPENDBOOK [--pictures DIR]

Nothing but Python's standard library and `chromium`. What is checked: nothing
is asked of the network and nothing goes wrong; what the script adds up is what
the program wrote; a team or a part of the period gives the figures of that team
or part; every control can be reached and has a name; the page fits a phone; it
prints; text can be read against its ground, in light and dark; and names that
would break out do nothing.
"""

import argparse
import decimal
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import urllib.parse

from amounts import shown as usd
from browser import Browser, Failed

NOW = "2026-06-19T02:00:00Z"
decimal.getcontext().prec = 60

ROWS = """(id) => [...document.querySelectorAll(`[data-live="${id}"] tbody tr`)].filter((row) => !row.hidden).map((row) =>
  [row.cells[0].querySelector("bdi").textContent, ...[...row.cells].slice(1).map((cell) => cell.textContent)])"""
LIVE = """() => Object.fromEntries([...document.querySelectorAll("[data-live]")].map((node) =>
  [node.dataset.live, node.hidden ? "" : node.innerText.replace(/\\s+/g, " ").replace(/( · )?Show (\\d|fewer)[\\d,]*/, "").trim()]))"""


class Book:
    """The demo's book, and the program that reads it."""

    def __init__(self, program, place):
        self.program, self.place = program, place
        self.run("--now", NOW, "-q", "demo", "demo")

    def run(self, *arguments):
        done = subprocess.run([self.program, *arguments], cwd=self.place, capture_output=True, text=True, env={}, check=False)
        if done.returncode != 0:
            raise Failed(f"{arguments}: {done.stderr}")
        return done.stdout

    def ask(self, *arguments):
        return self.run("--config", "demo/spendbook.toml", "--now", NOW, *arguments)

    def json(self, *arguments):
        return json.loads(self.ask(*arguments, "--format", "json"))

    def page(self, name, *arguments):
        self.ask("-q", "report", "html", "--output", name, *arguments)
        return (pathlib.Path(self.place) / name).as_uri()


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def numbers_are_those_of_the_program(browser):
    """The script's own way to write amounts, against another one."""
    rolls = random.Random(7)
    amounts = [0, 1, -1, 5 * 10**9, 10**10 - 1, 10**11, 10**11 - 1, 99_999_999_999_999, 10**37 + 1, -123_456_789_012_345]
    amounts += [rolls.randrange(10 ** rolls.randrange(1, 30)) for _ in range(3000)]
    amounts += [5 * 10**9 + 10**10 * at for at in range(200)]
    found = browser.evaluate(f"{json.dumps([str(it) for it in amounts])}.map((it) => usd(BigInt(it)))")
    for pico, text in zip(amounts, found):
        equal(text, usd(decimal.Decimal(pico).scaleb(-12)), f"{pico} pico-dollars")
    counts = [0, 999, 1000, 999_999, 1_239_999, 45_690_000, 999_999_999, 7_000_000_000, 2**63 - 1]
    expected = ["0", "999", "1,000", "999,999", "1.23 M", "45.6 M", "999 M", "7.00 G", "9,223,372 T"]
    equal(browser.evaluate(f"{json.dumps([str(it) for it in counts])}.map((it) => compact(BigInt(it)))"), expected, "counts")


def without_a_choice_the_script_changes_nothing(browser, url):
    """What the program wrote, and what the script adds up for the same."""
    browser.open(url, script=False)
    written = browser.evaluate(f"({LIVE})()")
    browser.open(url)
    equal(browser.troubles(), [], "as it opens")
    equal(browser.evaluate(f"({LIVE})()"), written, "with the script")
    if "savings" not in written:
        return  # nothing was charged
    # Everything is made anew by the script, of the same choice.
    browser.evaluate("(() => { const of = sums(); renderFigures(of); renderLists(of); renderSavings(of); renderViolations(); renderQuality(of); renderReconciled(); })()")
    equal(browser.evaluate(f"({LIVE})()"), written, "made by the script")


def a_choice_gives_its_own_figures(browser, book, url):
    parts = {"": "2026-05-01..2026-06-20", "from=2026-06-01&to=2026-06-18": "2026-06-01..2026-06-19", "from=2026-05-12&to=2026-05-12": "2026-05-12"}
    for fragment, period in parts.items():
        first, _, end = period.partition("..")
        where = f"ts >= '{first}' AND ts < '{end}'" if end else f"date = '{first}'"
        tops = {subject: book.json("top", subject, "--period", period, "--limit", "1000") for subject in ("teams", "models", "keys", "users")}
        browser.open(url + "#" + fragment)
        for subject, column in (("teams", "team"), ("models", "model"), ("keys", "key")):
            rows = browser.evaluate(f"({ROWS})('{subject}')")
            nobody = {"teams": "no team", "keys": "without a key"}.get(subject)
            spent = [it for it in tops[subject] if it["requests"] or decimal.Decimal(it["cost"])][: len(rows)]
            if not rows:
                raise AssertionError(f"{fragment}: no {subject}")
            equal([(row[0], row[2]) for row in rows], [(it[column] or nobody, usd(it["cost"])) for it in spent], f"{fragment} {subject}")
        users = {it["user"] or "not named": usd(it["cost"]) for it in tops["users"]}
        for row in browser.evaluate(f"({ROWS})('users')"):
            equal(row[2], users[row[0]], f"{fragment} user {row[0]}")
        for team in [it for it in tops["teams"] if it["team"]]:
            name = team["team"]
            browser.open(f"{url}#team={urllib.parse.quote(name)}&{fragment}")
            equal(browser.troubles(), [], f"{name} {fragment}")
            equal(browser.evaluate("document.querySelector('.figures .big').textContent"), usd(team["cost"]), f"{name} {fragment}")
            sql = f"SELECT model_billed, sum(cost) AS cost, count(*) AS requests FROM charges WHERE team = '{name}' AND {where} GROUP BY model_billed"
            models = {it["model_billed"]: (usd(it["cost"] or 0), f"{it['requests']:,}") for it in book.json("query", sql)}
            for pool in (team["pools"] or "").split("; "):
                if pool:
                    pool, _, cost = pool.partition("=")
                    models["shared: " + pool] = (usd(cost), "0")
            rows = {row[0]: (row[2], row[1]) for row in browser.evaluate(f"({ROWS})('models')")}
            equal(rows, models, f"models of {name} {fragment}")
            sql = f"SELECT count(*) AS requests, sum(cost) AS cost FROM charges WHERE team = '{name}' AND {where} AND basis = 'fallback'"
            estimated = book.json("query", sql)[0]
            row = browser.evaluate("[...document.querySelector('[data-row=estimated]').cells].map((cell) => cell.textContent)")
            equal((row[1], row[3]), (f"{estimated['requests']:,}", usd(estimated["cost"] or 0)), f"estimates of {name} {fragment}")
            sql = f"SELECT kind, sum(requests) AS requests, sum(cost) AS cost FROM violations WHERE team = '{name}' AND {where} GROUP BY kind"
            kinds = {it["kind"].replace("_", " "): (f"{it['requests']:,}", usd(it["cost"] or 0)) for it in book.json("query", sql)}
            rows = {row[0]: (row[2], row[3]) for row in browser.evaluate(f"({ROWS})('violations')")}
            equal(rows, kinds, f"violations of {name} {fragment}")
    # The charts' tables have every slot, and they come to the whole.
    browser.open(url + "#by=model")
    days = browser.evaluate("[...document.querySelectorAll('#time-table tbody tr')].map((row) => row.cells[1].textContent)")
    sql = "SELECT date, sum(cost) AS cost FROM charges GROUP BY date ORDER BY date"
    by_day = {it["date"]: usd(it["cost"] or 0) for it in book.json("query", sql)}
    equal(len(days), 50, "days")
    equal([day for day in days if day != "$0.00"], [cost for cost in by_day.values() if cost != "$0.00"], "days of the chart")


def the_controls_do_what_they_say(browser, book, url):
    browser.open(url)
    status = {it["name"]: it for it in book.json("status")["budgets"]}
    browser.evaluate("(() => { const team = document.getElementById('team'); team.value = String(data.teams.findIndex((it) => it.id === 'chatbot')); team.dispatchEvent(new Event('change')); })()")
    browser.evaluate("[...document.querySelectorAll('.quick button')].find((it) => it.textContent === 'Jun').click()")
    equal(browser.evaluate("document.querySelector('.figures .big').textContent"), usd(status["chatbot"]["spend"]), "chatbot in June")
    equal(browser.evaluate("location.hash"), "#team=chatbot&from=2026-06-01", "the address")
    equal(browser.evaluate("[...document.querySelectorAll('#budgets tbody tr')].filter((row) => !row.hidden).map((row) => row.dataset.team)"), ["chatbot"], "budgets")
    before = browser.evaluate(f"({LIVE})()")
    browser.evaluate("document.querySelector('#shown button').click()")
    equal(browser.evaluate("location.hash"), "", "the address of everything")
    if browser.evaluate(f"({LIVE})()") == before:
        raise AssertionError("everything is shown again, and nothing changed")
    # With the arrow keys along a chart.
    browser.evaluate("document.querySelector('#time-chart svg').focus()")
    for key in ("End", "ArrowLeft"):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    text = browser.evaluate("document.getElementById('time-read').textContent")
    if not text.startswith("18 June 2026: $9.50 · analytics $9.16"):
        raise AssertionError(f"the chart says {text!r}")
    # More of a list, and less again.
    rows = "document.querySelectorAll('[data-live=users] tbody tr').length"
    few = browser.evaluate(rows)
    browser.evaluate("document.querySelector('[data-live=users-more] button').click()")
    many = browser.evaluate(rows)
    browser.evaluate("document.querySelector('[data-live=users-more] button').click()")
    if not few < many or browser.evaluate(rows) != few:
        raise AssertionError(f"{few} users, then {many}")
    equal(browser.troubles(), [], "after the controls")


# What is written and what it stands on, as WCAG 2 has their contrast.
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const node of document.querySelectorAll("body *:not(script):not(style)")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const colour = parse(node instanceof SVGElement ? style.fill : style.color);
    const [one, other] = [luminance(colour) + 0.05, luminance(ground(node instanceof SVGElement ? node.closest("svg").parentElement : node)) + 0.05];
    const contrast = Math.max(one, other) / Math.min(one, other);
    if (contrast < 4.5) poor.add(`${node.tagName} ${node.className} ${contrast.toFixed(2)}`);
  }
  for (const node of document.querySelectorAll("#time-chart rect[class^=s], #time-legend rect, .bar .fill, .budget .fill, .budget .limit")) {
    const [one, other] = [luminance(parse(getComputedStyle(node).fill)) + 0.05, luminance(ground(node.closest("svg").parentElement)) + 0.05];
    if (Math.max(one, other) / Math.min(one, other) < 3) poor.add(`${node.getAttribute("class")} of a chart`);
  }
  return [...poor];
}"""

# Controls without a name, tables without headers, headings that skip a level.
ACCESS = """() => {
  const found = [];
  for (const node of document.querySelectorAll("button, select, summary, [role=img], [role=region]")) {
    const name = node.getAttribute("aria-label") || node.textContent.trim() || (node.labels && node.labels[0] && node.labels[0].textContent.trim());
    if (!name) found.push(`${node.tagName} without a name`);
  }
  for (const table of document.querySelectorAll("table")) {
    if (![...table.querySelectorAll("thead th")].every((it) => it.scope === "col" && it.textContent.trim())) found.push(`columns of ${table.dataset.live || table.id || table.className}`);
    if (![...table.tBodies].every((body) => [...body.rows].every((row) => row.cells[0].scope === "row"))) found.push(`rows of ${table.dataset.live || table.className}`);
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3")) {
    if (Number(heading.tagName[1]) > level + 1) found.push(`${heading.textContent} skips a level`);
    level = Number(heading.tagName[1]);
  }
  const ids = [...document.querySelectorAll("[id]")].map((it) => it.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");
  for (const node of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const id of (node.getAttribute("aria-labelledby") || node.getAttribute("aria-describedby")).split(" ")) if (!document.getElementById(id)) found.push(`nothing has the id ${id}`);
  }
  if (document.documentElement.lang !== "en") found.push("no language");
  // Nothing moves by itself, so there is nothing to stop for those whom it makes ill.
  for (const node of document.querySelectorAll("*")) {
    const style = getComputedStyle(node);
    if (style.animationName !== "none" || style.transitionDuration !== "0s" || style.scrollBehavior === "smooth") found.push(`${node.tagName} moves`);
  }
  return found;
}"""


def everybody_can_read_it(browser, url):
    for width in (390, 1280):
        for dark in (False, True):
            browser.open(url, width=width, dark=dark)
            browser.evaluate("document.querySelectorAll('details').forEach((it) => (it.open = true))")
            equal(browser.evaluate(f"({CONTRAST})()"), [], f"contrast at {width} px{', dark' if dark else ''}")
            equal(browser.evaluate(f"({ACCESS})()"), [], "for those who listen")
            wide = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            equal(wide, 0, f"wider than {width} px by")


# What the keyboard is on now, and whether it shows.
FOCUSED = """() => {
  const node = document.activeElement;
  if (node === document.body) return null;
  const at = [...document.querySelectorAll("*")].indexOf(node);
  return [at, node.matches(":focus-visible") && getComputedStyle(node).outlineStyle !== "none"];
}"""
REACHABLE = """() => {
  const all = [...document.querySelectorAll("*")];
  return [...document.querySelectorAll("a[href], button, select, summary, [tabindex]")].filter((it) => it.checkVisibility()).map((it) => all.indexOf(it));
}"""


def the_keyboard_reaches_everything(browser, url):
    """From the top by the tab key alone, in the order of the page."""
    browser.open(url)
    browser.evaluate("document.querySelectorAll('details').forEach((it) => (it.open = true))")
    wanted = browser.evaluate(f"({REACHABLE})()")
    reached = []
    for _ in wanted:
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        browser.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        node, is_shown = browser.evaluate(f"({FOCUSED})()") or (None, False)
        reached.append(node)
        if not is_shown:
            raise AssertionError(f"the keyboard is on element {node}, and it does not show")
    equal(reached, wanted, "what the keyboard reaches")


def it_prints(browser, url):
    browser.open(url, dark=True)
    pdf = browser.pdf()
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    if not pdf.startswith(b"%PDF") or not 2 <= pages <= 8:
        raise AssertionError(f"{len(pdf)} bytes, {pages} pages")
    # Drawn for a screen and made smaller, the words of a chart could not be read.
    width = "document.querySelector('#time-chart svg').viewBox.baseVal.width"
    on_screen = browser.evaluate(width)
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    equal(browser.evaluate(width), 690, "the chart on paper")
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    equal(browser.evaluate(width), on_screen, "the chart on the screen again")
    browser.call("Emulation.setEmulatedMedia", media="print")
    shown = browser.evaluate("['#filters', 'details', 'button'].filter((it) => document.querySelector(it).checkVisibility())")
    equal(shown, [], "controls on paper")
    equal(browser.evaluate("getComputedStyle(document.body).color"), "rgb(28, 35, 32)", "ink, also where the screen is dark")


def names_stay_names(browser, place, program):
    """A book whose every name would like to be a script."""
    folder = pathlib.Path(place) / "names"
    (folder / "logs").mkdir(parents=True)
    names = ["</script><script>window.owned = 1</script>", "<img src=x onerror='window.owned = 1'>", "\" onload=\"window.owned = 1", "${window.owned = 1}", "\u202egnp.exe", "שם ארוך", "🦀" * 60, "a" * 5000, "__proto__", "constructor"]
    with open(folder / "logs" / "a.jsonl", "w", encoding="utf-8") as log:
        for day in (1, 2):
            for at, name in enumerate(names):
                usage = {"prompt_tokens": 1000 * (at + 1), "completion_tokens": 10}
                log.write(json.dumps({"ts": f"2026-06-0{day}T10:00:00Z", "request_id": f"chatcmpl-{day}{at:023}", "key": name, "user": name, "model": name, "http_status": 200, "usage": usage}) + "\n")
    (folder / "spendbook.toml").write_text('[book]\npath = "book"\npricing = "../demo/pricing"\n[organization]\nname = "</title><script>window.owned = 1</script>"\n[[source]]\nname = "gateway"\nformat = "native"\npath = "logs/*"\nprovider = "groq"\n')
    for command in (["ingest"], ["price"], ["-q", "report", "html", "--output", "page.html"]):
        subprocess.run([program, "--now", "2026-06-10T04:00:00Z", *command], cwd=folder, check=True, capture_output=True, env={})
    url = (folder / "page.html").as_uri()
    for fragment in ("", "#from=2026-06-02", "#of=nobody", "#team=%3C/script%3E", "#by=model&from=never"):
        browser.open(url + fragment)
        equal(browser.troubles(), [], f"names {fragment}")
        equal(browser.evaluate("typeof window.owned"), "undefined", "a name that runs")
        equal(browser.evaluate("document.querySelectorAll('script, img, iframe').length"), 2, "elements that names made")
        equal(browser.evaluate("document.querySelectorAll('[data-live=models] tbody tr').length"), 10, "rows")
    return url


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--pictures", help="also takes pictures, into this directory")
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.program).resolve())
    with tempfile.TemporaryDirectory() as place, Browser() as browser:
        book = Book(program, place)
        url = book.page("page.html")
        browser.open(url)
        numbers_are_those_of_the_program(browser)
        for page in (url, book.page("june.html", "--period", "2026-06"), book.page("empty.html", "--period", "2025-01")):
            without_a_choice_the_script_changes_nothing(browser, page)
        a_choice_gives_its_own_figures(browser, book, url)
        the_controls_do_what_they_say(browser, book, url)
        everybody_can_read_it(browser, url)
        the_keyboard_reaches_everything(browser, url)
        it_prints(browser, url)
        names = names_stay_names(browser, place, program)
        everybody_can_read_it(browser, names)
        if arguments.pictures:
            to = pathlib.Path(arguments.pictures)
            to.mkdir(parents=True, exist_ok=True)
            for name, address, width, dark in (("desk", url, 1280, False), ("dark", url + "#team=chatbot", 1280, True), ("phone", url, 390, False), ("names", names, 390, True)):
                browser.open(address, width=width, dark=dark)
                browser.picture(to / f"{name}.png")
    print("the page is what the book says")


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, Failed) as error:
        sys.exit(f"the page: {error}")
