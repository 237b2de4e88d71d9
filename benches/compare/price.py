#!/usr/bin/env python3
"""Price and roll-up against DuckDB: the same usage, the same columns, paired runs.

Both read the `usage` that spendbook made of the canonical workload, with two
threads, and write the 54 columns of `charges` and the 37 of `rollup` as zstd
Parquet by day, with exact decimals. Their totals are compared first, so that a
fast wrong answer fails. DuckDB is spared the choice of prices and owners: it is
given a table of rates for every model, tier and stretch of time, worked out
before as in charges.py, and one of keys; it need not sort, sync, check, or
make out which days must be priced at all.

    python3 benches/compare/price.py --logs DIR [--runs 5] [--spendbook PATH]
"""

import csv
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import ingest
from charges import AMOUNTS, FOREVER, METERS, Prices, micros

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = "search chatbot support billing research docs risk growth mobile catalog security analytics".split()
TEAMS = [f"{name}{f'-{number}' if number > 1 else ''}" for number in range(1, 6) for name in SUBJECTS]
ENVIRONMENTS = ["prod", "staging", "dev", "prod-eu", "prod-batch"]

# Rates are per single unit, so that each amount is one exact multiplication.
PRICE = """
SET threads = 2;
SET enable_progress_bar = false;
SET preserve_insertion_order = false;
CREATE TEMP TABLE rates AS SELECT * FROM read_csv('{work}/rates.csv', columns = {{
    provider: 'VARCHAR', model: 'VARCHAR', tier: 'VARCHAR', valid_from: 'TIMESTAMP', valid_until: 'TIMESTAMP',
    model_billed: 'VARCHAR', basis: 'VARCHAR', price_id: 'VARCHAR',
    input: 'DECIMAL(18, 12)', cached: 'DECIMAL(18, 12)', output: 'DECIMAL(18, 12)', own_cached: 'BOOLEAN'}});
CREATE TEMP TABLE keys AS SELECT * FROM read_csv('{work}/keys.csv', columns = {{
    "key": 'VARCHAR', team: 'VARCHAR', environment: 'VARCHAR', purpose: 'VARCHAR'}});
"""

# Day by day, which is three times faster than DuckDB's own PARTITION_BY here.
DAY = """
COPY (
    WITH priced AS (
        SELECT u.* EXCLUDE (source_file, source_line),
            k.team, k.environment, k.purpose,
            CASE WHEN k.team IS NULL THEN 'none' ELSE 'convention' END AS team_basis,
            r.model_billed, r.basis AS found, r.price_id AS found_id, r.own_cached,
            coalesce(u.input_tokens, 0) + coalesce(u.cached_input_tokens, 0) + coalesce(u.output_tokens, 0) = 0 AS nothing,
            u.input_tokens IS NULL AND u.output_tokens IS NULL AS unreported,
            coalesce(u.input_tokens, 0) * r.input AS input_items,
            coalesce(u.cached_input_tokens, 0) * r.cached AS cached_items,
            coalesce(u.output_tokens, 0) * r.output AS output_items,
            coalesce(u.cached_input_tokens, 0) * (r.input - r.cached) AS saved
        FROM read_parquet('{usage}', hive_partitioning = false) u
        JOIN rates r ON r.provider = u.provider AND r.model = u.model AND r.tier = coalesce(u.tier, 'on_demand')
            AND u.ts >= r.valid_from AND u.ts < r.valid_until
        LEFT JOIN keys k ON k."key" = u."key"
    ), based AS (
        SELECT *, CASE WHEN unreported AND status NOT IN ('error', 'blocked') THEN 'unpriced'
                       WHEN nothing THEN 'free' ELSE found END AS basis
        FROM priced
    )
    SELECT * EXCLUDE (found, found_id, own_cached, nothing, unreported, input_items, cached_items, output_items, saved, basis),
        CASE basis WHEN 'unpriced' THEN NULL ELSE input_items END::DECIMAL(38, 12) AS input_cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE cached_items END::DECIMAL(38, 12) AS cached_input_cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE 0 END::DECIMAL(38, 12) AS cache_write_cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE output_items END::DECIMAL(38, 12) AS output_cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE 0 END::DECIMAL(38, 12) AS other_cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE input_items + cached_items + output_items END::DECIMAL(38, 12) AS cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE input_items + cached_items + output_items END::DECIMAL(38, 12) AS list_cost,
        CASE basis WHEN 'unpriced' THEN NULL ELSE saved END::DECIMAL(38, 12) AS cache_savings,
        CASE basis WHEN 'unpriced' THEN NULL ELSE 0 END::DECIMAL(38, 12) AS batch_savings,
        basis,
        CASE WHEN basis = 'unpriced' THEN 'no usage reported'
             WHEN basis = 'free' AND unreported THEN 'failed and reports no usage'
             WHEN basis = 'free' THEN 'all reported quantities are 0'
             WHEN basis = 'fallback' THEN 'estimated at the fallback price: the book has no prices of `' || model_billed || '`'
             WHEN NOT own_cached AND cached_input_tokens > 0
                 THEN '`cached_input_tokens` at the price of `input_tokens`: no price of its own' END AS reason,
        CASE WHEN basis IN ('list', 'fallback') THEN found_id END AS price_id
    FROM based
) TO '{out}/charges/{day}/charges.parquet' (FORMAT parquet, COMPRESSION zstd);
COPY (
    SELECT time_bucket(INTERVAL 15 MINUTES, ts) AS bucket_start, team, environment, purpose, "key", provider, model,
        model_billed, tier, operation, basis,
        count(*) AS requests, count(*) FILTER (status = 'error') AS errors,
        {sums},
        count(*) FILTER (basis = 'unpriced') AS unpriced_requests,
        count(*) FILTER (basis = 'fallback') AS estimated_requests,
        coalesce(sum(cost) FILTER (basis = 'fallback'), 0)::DECIMAL(38, 12) AS estimated_cost
    FROM read_parquet('{out}/charges/{day}/charges.parquet', hive_partitioning = false)
    GROUP BY ALL
) TO '{out}/rollup/{day}/rollup.parquet' (FORMAT parquet, COMPRESSION zstd);
"""

SUMS = ", ".join(
    [f'sum("{meter}")::BIGINT AS {meter}' for meter in METERS]
    + [f"sum({amount})::DECIMAL(38, 12) AS {amount}" for amount in AMOUNTS]
)

TOTALS = """
SELECT 'charges', basis, count(*), sum(cost), sum(input_cost), sum(cached_input_cost), sum(output_cost), sum(list_cost),
    sum(cache_savings), sum(batch_savings), count(DISTINCT team), count(DISTINCT model_billed), 0
FROM read_parquet('{charges}', hive_partitioning = false) GROUP BY basis
UNION ALL
SELECT 'rollup', basis, sum(requests), sum(cost), sum(input_cost), sum(cached_input_cost), sum(output_cost), sum(list_cost),
    sum(cache_savings), sum(batch_savings), count(*), {errors}, sum(estimated_cost)
FROM read_parquet('{rollup}', hive_partitioning = false) GROUP BY basis
ORDER BY ALL
"""


def main():
    arguments = ingest.parse_arguments()
    logs = Path(arguments.logs).resolve()
    python = ingest.environment(logs / ".venv")
    ours = str(Path(arguments.spendbook).resolve())
    work = workspace(logs, ".compare-price")
    subprocess.run([ours, "ingest", "-q"], cwd=work, check=True)
    tables(python, work)
    pairs = []
    for run in range(arguments.runs + 1):  # the first pair warms the page cache up
        for table in ["charges", "rollup"]:
            shutil.rmtree(work / "book" / table, ignore_errors=True)
        a = ingest.measure([ours, "price", "-q"], work)
        shutil.rmtree(work / "duckdb", ignore_errors=True)
        (work / "duckdb").mkdir()
        b = ingest.measure([python, "-c", script("", work, work / "book/usage")], work)
        if run == 0:
            compare(python, work)
        else:
            pairs.append((a, b))
            print(f"run {run}: spendbook {a[0]:.2f} s, duckdb {b[0]:.2f} s, {b[0] / a[0]:.2f} times", flush=True)
    ingest.report(pairs)


def workspace(logs, name):
    """A directory with a config of 60 teams and the shipped price book."""
    work = logs / name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "pricing", work / "pricing")
    teams = "".join(f"[teams.{team}]\n" for team in TEAMS)
    (work / "spendbook.toml").write_text(ingest.CONFIG.format(logs=logs) + teams)
    return work


def script(first, work, usage):
    """A program that runs the queries, and prices the days that are then in `usage`."""
    return "\n".join(
        [
            "import duckdb, os",
            f"first, price, day_query = {first!r}, {PRICE.format(work=work)!r}, {DAY!r}",
            f"usage, out = {str(usage)!r}, {str(work / 'duckdb')!r}",
            "duckdb.execute(first + price)",
            "for day in sorted(os.listdir(usage)):",
            "    os.makedirs(f'{out}/charges/{day}'), os.makedirs(f'{out}/rollup/{day}')",
            f"    duckdb.execute(day_query.format(usage=f'{{usage}}/{{day}}/*.parquet', out=out, day=day, sums={SUMS!r}))",
        ]
    )


def tables(python, work):
    """What DuckDB is given: a rate for each model, tier and stretch of time, and the keys."""
    query = f"SELECT DISTINCT provider, model, coalesce(tier, 'on_demand') FROM read_parquet('{work}/book/usage/*/usage.parquet')"
    code = f"import duckdb; [print(*row, sep=chr(9)) for row in duckdb.sql({query!r}).fetchall()]"
    asks = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    prices = Prices(work / "pricing", micros("2100-01-01"))
    with open(work / "rates.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = "provider model tier valid_from valid_until model_billed basis price_id input cached output own_cached"
        writer.writerow(names.split())
        for provider, model, tier in sorted(line.split("\t") for line in asks.splitlines()):
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
                writer.writerow([*row, f"{provider}/{billed}/{tier}@{shown(start)}", *(f"{rate:f}" for rate in rates), own])
    with open(work / "keys.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "team", "environment", "purpose"])
        for team in TEAMS:
            for rest in ENVIRONMENTS:
                environment, _, purpose = rest.partition("-")
                writer.writerow([f"{team}-{rest}", team, environment, purpose or None])


def shown(at):
    at = min(at, micros("2099-12-31"))
    return datetime.fromtimestamp(at // 10**6, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def compare(python, work, errors="sum(errors)"):
    """Both must come to the same, or the comparison is worth nothing."""
    found = []
    for charges, rollup in [
        (f"{work}/book/charges/*/charges.parquet", f"{work}/book/rollup/*/rollup.parquet"),
        (f"{work}/duckdb/charges/*/*.parquet", f"{work}/duckdb/rollup/*/*.parquet"),
    ]:
        query = TOTALS.format(charges=charges, rollup=rollup, errors=errors)
        code = f"import duckdb; duckdb.sql('SET enable_progress_bar = false'); [print(*row) for row in duckdb.sql({query!r}).fetchall()]"
        found.append(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    if found[0] != found[1]:
        sys.exit(f"the results differ:\n{found[0]}\n{found[1]}")
    print(f"both come to the same:\n{found[0]}", flush=True)


if __name__ == "__main__":
    main()
