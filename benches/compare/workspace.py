"""Logs to read, and what the engines are given: rates and keys as CSV.

    python workspace.py tables WORK      writes WORK/rates.csv and keys.csv for the book in WORK
    python workspace.py compress DIR     puts every log of DIR into a zstd file

The engines are spared the choice of prices and owners: rates.csv holds a rate
for each model, tier and stretch of time, keys.csv whose each key is.
"""

import csv
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = "search chatbot support billing research docs risk growth mobile catalog security analytics".split()
ENVIRONMENTS = ["prod", "staging", "dev", "prod-eu", "prod-batch"]
CONFIG = """
[[source]]
name = "gateway"
format = "native"
path = "{logs}"
provider = "groq"
"""


def teams(count):
    """The names that benches/workload.rs draws."""
    return [f"{SUBJECTS[n % 12]}{f'-{n // 12 + 1}' if n >= 12 else ''}" for n in range(count)]


def logs(workload, directory, lines, days, *more):
    """Writes logs where they are not yet; a directory that is there is whole."""
    if not directory.exists():
        half = directory.with_name(directory.name + ".part")
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run([workload, "--out", half, "--lines", str(lines), "--days", str(days), *more], check=True)
        half.rename(directory)
    return directory


def workspace(directory, pattern, team_count=60):
    """A directory with a config, the shipped price book, and no book."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(ROOT / "pricing", directory / "pricing")
    names = "".join(f"[teams.{team}]\n" for team in teams(team_count))
    (directory / "spendbook.toml").write_text(CONFIG.format(logs=pattern) + names)
    return directory


def write_tables(work):
    """Chooses prices as charges.py does, which shares no code with spendbook."""
    import duckdb
    from charges import FOREVER, Prices, micros

    query = f"SELECT DISTINCT provider, model, coalesce(tier, 'on_demand') FROM read_parquet('{work}/book/usage/*/usage.parquet')"
    prices = Prices(work / "pricing", micros("2100-01-01"))
    with open(work / "rates.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = "provider model tier valid_from valid_until model_billed basis price_id input cached output own_cached"
        writer.writerow(names.split())
        for provider, model, tier in sorted(duckdb.sql(query).fetchall()):
            prices.stretch(provider, model, 0)
            starts = [micros("2020-01-01"), *prices.bounds[provider, model]]
            for start, end in zip(starts, [*starts[1:], FOREVER]):
                if start >= FOREVER or end <= start:
                    continue
                billed, choices = prices.choice(provider, model, tier, start)
                kinds = [choices[meter] and choices[meter][0] for meter in ("input_tokens", "output_tokens")]
                if None in kinds:
                    continue
                rates = [choices[m][1][0] / choices[m][1][1] for m in ("input_tokens", "cached_input_tokens", "output_tokens")]
                own = choices["cached_input_tokens"][1] is not choices["input_tokens"][1]
                row = [provider, model, tier, shown(start), shown(end), billed, max(kinds, key=["list", "fallback"].index)]
                price_id = f"{provider}/{billed}/{tier}@{shown(start)}"
                writer.writerow([*row, price_id, *(f"{rate:f}" for rate in rates), str(own).lower()])
    with open(work / "keys.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "team", "environment", "purpose"])
        for team in teams(60):
            for rest in ENVIRONMENTS:
                environment, _, purpose = rest.partition("-")
                writer.writerow([f"{team}-{rest}", team, environment, purpose or None])


def shown(at):
    """A number of microseconds as CSV readers take it."""
    from charges import micros

    at = min(at, micros("2099-12-31"))
    return datetime.fromtimestamp(at // 10**6, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def compress(directory):
    """Replaces each log by a zstd file of level 1, two at a time."""
    import pyarrow

    def one(path):
        with open(path, "rb") as plain, pyarrow.CompressedOutputStream(f"{path}.zst", "zstd") as out:
            shutil.copyfileobj(plain, out, 1 << 20)
        path.unlink()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, sorted(directory.glob("*.jsonl"))))


if __name__ == "__main__":
    {"tables": write_tables, "compress": compress}[sys.argv[1]](Path(sys.argv[2]))
