"""The night in DuckDB: logs in, usage, charges and rollup out, by day.

    python with_duckdb.py night|kept|ingest|price LOGS WORK OUT

`price` reads the `usage` that spendbook wrote in WORK. What was tried, and is
slower here or takes more memory: one `COPY` with `PARTITION_BY` for all days,
`QUALIFY row_number()` or `DISTINCT ON` over all rows (few requests come twice, so
those are set apart first), all 39 columns in the table (most are constants), and
tables of a day's usage and charges in memory.

`kept` writes rows in their order. Of a day the columns that are needed are
sorted, with rates and owners, and both tables made of them, which keeps the
order: a sixth less time than `ORDER BY` in each `COPY`, a fifth less than sorting
all lines at once. Joins do not keep it where a model has several rates.
"""

import datetime
import os
import sys

import duckdb

from disk import bring_to_disk
from names import AMOUNTS, METERS

START = """
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

READ = """
CREATE TEMP TABLE read AS
    SELECT ts, request_id, filename, "key", team, "user", model, http_status, error_code, service_tier, max_tokens, latency_ms,
        usage.prompt_tokens AS input, usage.prompt_tokens_details.cached_tokens AS cached, usage.completion_tokens AS output
    FROM read_ndjson('{logs}/*', filename = true, columns = {{
        ts: 'TIMESTAMP', request_id: 'VARCHAR', "key": 'VARCHAR', team: 'VARCHAR', "user": 'VARCHAR',
        model: 'VARCHAR', http_status: 'SMALLINT', error_code: 'VARCHAR', service_tier: 'VARCHAR',
        max_tokens: 'BIGINT', latency_ms: 'BIGINT',
        usage: 'STRUCT(prompt_tokens BIGINT, completion_tokens BIGINT, prompt_tokens_details STRUCT(cached_tokens BIGINT))'}});
CREATE TEMP TABLE repeated AS SELECT request_id FROM read GROUP BY request_id HAVING count(*) > 1;
DELETE FROM read WHERE rowid IN (
    SELECT rowid FROM read SEMI JOIN repeated USING (request_id)
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY output DESC NULLS LAST) > 1);
"""

USAGE_COLUMNS = """
        ts, ts AS ts_last, request_id, NULL::VARCHAR AS part, 'gateway' AS source,
        filename AS source_file, 0::BIGINT AS source_line, 'groq' AS provider, model,
        NULL::VARCHAR AS model_requested, service_tier AS tier, 'chat' AS operation, "key",
        team AS team_reported, "user", NULL::VARCHAR AS project, NULL::VARCHAR AS tags,
        CASE WHEN error_code = 'blocked_api_access' THEN 'blocked'
             WHEN http_status >= 400 THEN 'error' ELSE 'success' END AS status,
        http_status, error_code, max_tokens, latency_ms, NULL::BOOLEAN AS streamed, false AS gateway_cache,
        CASE WHEN input IS NULL THEN 'missing' ELSE 'reported' END AS quality,
        input - coalesce(cached, 0) AS input_tokens, cached AS cached_input_tokens,
        NULL::BIGINT AS cache_write_5m_tokens, NULL::BIGINT AS cache_write_1h_tokens,
        output AS output_tokens, NULL::BIGINT AS reasoning_tokens,
        NULL::BIGINT AS audio_ms, NULL::BIGINT AS characters, NULL::BIGINT AS images,
        NULL::BIGINT AS web_searches, NULL::BIGINT AS page_visits, NULL::BIGINT AS code_ms,
        NULL::BIGINT AS browser_ms, NULL::DECIMAL(38, 12) AS reported_cost
"""
USAGE = """
CREATE OR REPLACE TEMP VIEW usage AS SELECT {columns} FROM read WHERE ts >= '{day}' AND ts < '{next}';
"""
WRITE_USAGE = """
COPY usage TO '{out}/usage/date={day}/usage.parquet' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2);
"""

# Whose a request is, and what its tokens cost.
FOUND = """
            k.team AS owner, k.environment, k.purpose,
            r.model_billed, r.basis AS found, r.price_id AS found_id, r.own_cached,
            r.input AS input_rate, r.cached AS cached_rate, r.output AS output_rate
"""
JOINS = """
        JOIN rates r ON r.provider = 'groq' AND r.model = u.model AND r.tier = coalesce(u.{tier}, 'on_demand')
            AND u.ts >= r.valid_from AND u.ts < r.valid_until
        LEFT JOIN keys k ON k."key" = u."key"
"""
MATCHED = """
CREATE OR REPLACE TEMP VIEW matched AS SELECT u.*, {found} FROM usage u {joins};
"""

TODAY = """
SET preserve_insertion_order = false;
CREATE OR REPLACE TEMP TABLE today AS
    SELECT u.*, {found} FROM read u {joins} WHERE u.ts >= '{day}' AND u.ts < '{next}' ORDER BY u.ts, u.request_id;
SET preserve_insertion_order = true;
CREATE OR REPLACE TEMP VIEW usage AS SELECT {columns} FROM today;
CREATE OR REPLACE TEMP VIEW matched AS SELECT {columns},
    owner, environment, purpose, model_billed, found, found_id, own_cached, input_rate, cached_rate, output_rate FROM today;
"""

READ_USAGE = """
CREATE OR REPLACE TEMP VIEW usage AS
    FROM read_parquet('{work}/book/usage/date={day}/usage.parquet', hive_partitioning = false);
"""

# Rates are per single unit, so that each amount is one exact multiplication.
CHARGES = """
CREATE OR REPLACE TEMP VIEW charges AS
    WITH priced AS (
        SELECT * EXCLUDE (source_file, source_line, owner, input_rate, cached_rate, output_rate),
            owner AS team,
            CASE WHEN owner IS NULL THEN 'none' ELSE 'convention' END AS team_basis,
            coalesce(input_tokens, 0) + coalesce(cached_input_tokens, 0) + coalesce(output_tokens, 0) = 0 AS nothing,
            input_tokens IS NULL AND output_tokens IS NULL AS unreported,
            coalesce(input_tokens, 0) * input_rate AS input_items,
            coalesce(cached_input_tokens, 0) * cached_rate AS cached_items,
            coalesce(output_tokens, 0) * output_rate AS output_items,
            coalesce(cached_input_tokens, 0) * (input_rate - cached_rate) AS saved
        FROM matched
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
    FROM based;
COPY charges TO '{out}/charges/date={day}/charges.parquet' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2);
COPY (
    SELECT time_bucket(INTERVAL 15 MINUTES, ts) AS bucket_start, team, environment, purpose, "key", provider, model,
        model_billed, tier, operation, basis,
        count(*) AS requests, count(*) FILTER (status = 'error') AS errors,
        {sums},
        count(*) FILTER (basis = 'unpriced') AS unpriced_requests,
        count(*) FILTER (basis = 'fallback') AS estimated_requests,
        coalesce(sum(cost) FILTER (basis = 'fallback'), 0)::DECIMAL(38, 12) AS estimated_cost
    FROM read_parquet('{out}/charges/date={day}/charges.parquet', hive_partitioning = false)
    GROUP BY ALL {order}
) TO '{out}/rollup/date={day}/rollup.parquet' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2);
"""

SUMS = ", ".join(
    [f'sum("{meter}")::BIGINT AS {meter}' for meter in METERS]
    + [f"sum({amount})::DECIMAL(38, 12) AS {amount}" for amount in AMOUNTS]
)


def main(stage, logs, work, out):
    duckdb.execute(START.format(work=work))
    statements = {
        "night": USAGE + WRITE_USAGE + MATCHED + CHARGES,
        "kept": TODAY + WRITE_USAGE + CHARGES,
        "ingest": USAGE + WRITE_USAGE,
        "price": READ_USAGE + MATCHED + CHARGES,
    }[stage]
    joins = JOINS.format(tier="service_tier" if stage == "kept" else "tier")
    parts = dict(columns=USAGE_COLUMNS, found=FOUND, joins=joins, sums=SUMS, order="ORDER BY ALL" if stage == "kept" else "")
    for day in days_written(work) if stage == "price" else days_read(logs):
        for table in ["usage", "charges", "rollup"]:
            os.makedirs(f"{out}/{table}/date={day}")
        next_day = day + datetime.timedelta(days=1)
        duckdb.execute(statements.format(work=work, out=out, day=day, next=next_day, **parts))
    if stage == "kept":
        bring_to_disk(out)


def days_read(logs):
    duckdb.execute(READ.format(logs=logs))
    return [day for (day,) in duckdb.execute("SELECT DISTINCT ts::DATE FROM read ORDER BY 1").fetchall()]


def days_written(work):
    return [datetime.date.fromisoformat(name.removeprefix("date=")) for name in sorted(os.listdir(f"{work}/book/usage"))]


if __name__ == "__main__":
    main(*sys.argv[1:])
