"""How a night grows: with rows, days, teams, price rows, files, and the age of the book.

Every point is the median of three nights, `ingest` and `price`, into an empty
book (of the largest ones a single night). All but the curve of rows have a million
lines, and differ from each other in one thing.
"""

import json
import shutil
import subprocess

import workspace
from measure import measure, median

LINES = 1_000_000
DAYS = [1, 10, 30, 100, 365]
TEAMS = [60, 600, 6_000]
PRICE_ROWS = [0, 3_000, 10_000, 30_000, 100_000]
FILES = [1, 10, 1_000, 10_000]
ROWS = [1_000_000, 5_000_000, 20_000_000, 50_000_000]
AGES = [30, 100, 365]
DAY_LINES = 20_000
#: Above these, logs are held as zstd.
PLAIN = 5_000_000
PART = 5_000_000
START = "2025-05-04"


def prepare(bench):
    """Writes all logs that the curves read."""
    of = logs_of(bench)
    for lines in rows(bench):
        of.rows(lines)
    for days in DAYS:
        of.days(days)
    for teams in TEAMS:
        of.teams(teams)
    for files in FILES:
        of.files(files)
    of.year()


def rows(bench):
    return [lines for lines in ROWS if lines <= bench.largest and has_room(bench, lines)] or [min(bench.largest, LINES)]


def has_room(bench, lines):
    """Whether the disk has room for logs and book, of 160 bytes a line with compression."""
    free = shutil.disk_usage(bench.work).free
    if free < 200 * lines and not (bench.work / f"logs-{lines}").exists():
        print(f"{lines:,} lines are left out: they need {lines * 200 / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free")
        return False
    return True


class logs_of:
    """The logs of each point, written where they are not yet there, and their glob."""

    def __init__(self, bench):
        self.bench = bench
        #: Trying things out with few rows makes everything else small, too.
        self.lines = min(LINES, bench.largest)

    def write(self, name, lines, days, *more):
        return workspace.logs(self.bench.workload, self.bench.work / f"logs-{name}-{lines}", lines, days, *map(str, more))

    def rows(self, lines):
        if lines <= PLAIN:
            return f"{self.bench.canonical(lines)}/*"
        parts = [self.part(number) for number in range(lines // PART)]
        together = self.bench.work / f"logs-{lines}"
        together.mkdir(exist_ok=True)
        for part in parts:
            link = together / part.name
            if not link.exists():
                link.symlink_to(part)
        return f"{together}/*/*"

    def part(self, number):
        """Ten days of their own, as zstd."""
        directory = self.bench.work / f"part-{number}"
        if not directory.exists():
            raw = directory.with_name(f"raw-{number}")
            shutil.rmtree(raw, ignore_errors=True)
            start = f"2025-{6 + number // 3:02}-{1 + number % 3 * 10:02}"
            options = ["--lines", str(PART), "--days", "10", "--start", start, "--seed", str(number + 1)]
            subprocess.run([self.bench.workload, "--out", raw, *options], check=True)
            self.bench.helper("workspace.py", "compress", raw)
            raw.rename(directory)
        return directory

    def days(self, days):
        return f"{self.write(f'days-{days}', self.lines, days, '--start', START)}/*"

    def teams(self, teams):
        return f"{self.write(f'teams-{teams}', self.lines, 10, '--teams', teams)}/*"

    def files(self, files):
        """The first is the second in one piece."""
        if files == 1:
            directory = self.bench.work / f"logs-files-1-{self.lines}"
            if not directory.exists():
                half = directory.with_name(directory.name + ".part")
                half.mkdir(exist_ok=True)
                with open(half / "gateway.jsonl", "wb") as out:
                    for path in sorted(self.write("files-10", self.lines, 10).iterdir()):
                        with open(path, "rb") as log:
                            shutil.copyfileobj(log, out, 1 << 20)
                half.rename(directory)
            return f"{directory}/*"
        return f"{self.write(f'files-{files}', self.lines, 10, '--files-per-day', files // 10)}/*"

    def year(self):
        """A year and a day, 20,000 lines each."""
        days = AGES[-1] + 1
        return self.write("year", days * min(DAY_LINES, self.lines // 10), days, "--start", START)


def measure_all(bench):
    of = logs_of(bench)
    for name, points in [
        ("days", [(days, of.days(days), 60, 0) for days in DAYS]),
        ("teams", [(teams, of.teams(teams), teams, 0) for teams in TEAMS]),
        ("price rows", [(more, of.files(10), 60, more) for more in PRICE_ROWS]),
        ("files", [(files, of.files(files), 60, 0) for files in FILES]),
    ]:
        curve(bench, name, points)
    ages(bench, of.year())
    curve(bench, "rows", [(lines, of.rows(lines), 60, 0) for lines in rows(bench)])


def curve(bench, name, points):
    found = []
    for at, pattern, teams, more_prices in points:
        work = bench.place("curve", pattern, teams)
        if name == "price rows":
            books = [path for path in (work / "pricing").glob("*.csv") if path.name not in ("aliases.csv", "pins.csv")]
            at = more_prices + sum(len(path.read_text().splitlines()) - 1 for path in books)
            more_price_rows(work / "pricing/more.csv", more_prices)
        once = name == "rows" and at > PLAIN
        point = {"at": at, "spendbook": median(bench.ours(work) for _ in range(1 if once else bench.runs))}
        if name == "rows" and at <= bench.other_lines:
            bench.helper("workspace.py", "tables", work)
            for engine in bench.engines:
                point[engine] = median(bench.theirs(engine, work, pattern.removesuffix("/*")) for _ in range(bench.runs))
        found.append(point)
        print(f"{name} {at:,}: " + ", ".join(f"{who} {it}" for who, it in point.items() if who != "at"), flush=True)
        shutil.rmtree(work)
    bench.keep(f"curve: {name}", found)


def more_price_rows(path, count):
    """Contract prices of two models that the logs name, which change from hour to hour.

    Written one by one: processes that are measured inherit this one's peak.
    """
    if not count:
        return
    header = "provider,model,tier,meter,price_usd,per,min_quantity,valid_from,valid_until,known_from,kind,source,note"
    with open(path, "w", encoding="utf-8") as file:
        print(header, file=file)
        for number in range(count):
            model = ["llama-3.1-8b-instant", "openai/gpt-oss-20b"][number % 2]
            meter = ["input_tokens", "output_tokens"][number // 2 % 2]
            hour = number // 4
            at = f"{2023 + hour // 8064}-{1 + hour // 672 % 12:02}-{1 + hour // 24 % 28:02}T{hour % 24:02}:00:00Z"
            print(f"groq,{model},*,{meter},0.{50 + number % 7},1M,,{at},,{at},contract,made up for a bench,", file=file)


def ages(bench, year):
    """What one day more costs, in books of several ages."""
    logs = sorted(year.iterdir())
    found = []
    for age in AGES:
        work = bench.place("age", "logs/*")
        (work / "logs").mkdir()
        for log in logs[-age - 1 : -1]:
            (work / "logs" / log.name).symlink_to(log)
        point = {"at": age, "all at once": bench.ours(work)}
        night = ["/bin/sh", "-c", '"$0" ingest -q && "$0" price -q', bench.spendbook]
        point["nothing new"] = median(measure(night, work) for _ in range(bench.runs))
        (work / "book").rename(work / "before")
        (work / "logs" / logs[-1].name).symlink_to(logs[-1])
        days = []
        for _ in range(bench.runs):
            shutil.rmtree(work / "book", ignore_errors=True)
            shutil.copytree(work / "before", work / "book", copy_function=shutil.copy2)
            days.append(measure(night, work))
        point["one day more"] = median(days)
        found.append(point)
        print(f"age {age}: " + json.dumps({name: it["wall"] for name, it in point.items() if name != "at"}), flush=True)
        shutil.rmtree(work)
    bench.keep("curve: age", found)
