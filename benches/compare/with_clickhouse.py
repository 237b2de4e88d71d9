"""The night in ClickHouse (`chdb`, its library): logs in, usage, charges and rollup out, by day.

    python with_clickhouse.py night|kept|ingest|price LOGS WORK OUT

`price` reads the `usage` that spendbook wrote in WORK, `kept` writes rows in their
order. The lines wait in a `MergeTree` by day, in a directory of the session that is
deleted at the end: a `Memory` table is no faster and holds all of them in memory.
"""

import os
import sys

from chdb.session import Session

from disk import bring_to_disk
from names import AMOUNTS, METERS

SETTINGS = """
SET max_threads = 2;
SET max_insert_threads = 2;
SET input_format_csv_skip_first_lines = 1;
SET output_format_parquet_row_group_size = 131072;
SET output_format_parquet_write_bloom_filter = 0;
SET output_format_parquet_write_page_index = 0;
"""

START = """
CREATE DATABASE night;
CREATE TABLE night.rates ENGINE = Memory AS SELECT * FROM file('{work}/rates.csv', CSV, $$
    rate_provider LowCardinality(String), rate_model LowCardinality(String), rate_tier LowCardinality(String),
    valid_from DateTime64(6, 'UTC'), valid_until DateTime64(6, 'UTC'),
    model_billed LowCardinality(String), basis LowCardinality(String), price_id LowCardinality(String),
    input Decimal(38, 12), cached Decimal(38, 12), output Decimal(38, 12), own_cached Bool $$);
CREATE TABLE night.keys ENGINE = Memory AS SELECT * FROM file('{work}/keys.csv', CSV, $$
    key_name LowCardinality(String), team LowCardinality(Nullable(String)),
    environment LowCardinality(Nullable(String)), purpose LowCardinality(Nullable(String)) $$);
"""

READ = """
CREATE TABLE night.read ENGINE = MergeTree PARTITION BY toDate(ts) ORDER BY tuple() AS
    SELECT ts, request_id, _path AS file, key, team, user, model, http_status, error_code, service_tier, max_tokens, latency_ms,
        usage.prompt_tokens AS input, usage.prompt_tokens_details.cached_tokens AS cached, usage.completion_tokens AS output
    FROM file('{logs}/*', JSONEachRow, $$
        ts DateTime64(6, 'UTC'), request_id String, key LowCardinality(Nullable(String)), team LowCardinality(Nullable(String)),
        user LowCardinality(Nullable(String)), model LowCardinality(String), http_status Nullable(Int16),
        error_code LowCardinality(Nullable(String)), service_tier LowCardinality(Nullable(String)),
        max_tokens Nullable(Int64), latency_ms Nullable(Int64),
        usage Tuple(prompt_tokens Nullable(Int64), completion_tokens Nullable(Int64),
            prompt_tokens_details Tuple(cached_tokens Nullable(Int64))) $$);
CREATE TABLE night.repeated ENGINE = Memory AS SELECT request_id FROM night.read GROUP BY request_id HAVING count() > 1;
CREATE TABLE night.best ENGINE = Memory AS
    SELECT * FROM night.read WHERE request_id IN night.repeated ORDER BY output DESC NULLS LAST LIMIT 1 BY request_id;
"""

USAGE = """
    SELECT ts, ts AS ts_last, request_id, CAST(NULL AS Nullable(String)) AS part, 'gateway' AS source,
        file AS source_file, toInt64(0) AS source_line, 'groq' AS provider, model,
        CAST(NULL AS Nullable(String)) AS model_requested, service_tier AS tier, 'chat' AS operation, key,
        team AS team_reported, user, CAST(NULL AS Nullable(String)) AS project, CAST(NULL AS Nullable(String)) AS tags,
        multiIf(error_code = 'blocked_api_access', 'blocked', http_status >= 400, 'error', 'success') AS status,
        http_status, error_code, max_tokens, latency_ms, CAST(NULL AS Nullable(Bool)) AS streamed, false AS gateway_cache,
        if(input IS NULL, 'missing', 'reported') AS quality,
        input - coalesce(cached, 0) AS input_tokens, cached AS cached_input_tokens,
        CAST(NULL AS Nullable(Int64)) AS cache_write_5m_tokens, CAST(NULL AS Nullable(Int64)) AS cache_write_1h_tokens,
        output AS output_tokens, CAST(NULL AS Nullable(Int64)) AS reasoning_tokens,
        CAST(NULL AS Nullable(Int64)) AS audio_ms, CAST(NULL AS Nullable(Int64)) AS characters,
        CAST(NULL AS Nullable(Int64)) AS images, CAST(NULL AS Nullable(Int64)) AS web_searches,
        CAST(NULL AS Nullable(Int64)) AS page_visits, CAST(NULL AS Nullable(Int64)) AS code_ms,
        CAST(NULL AS Nullable(Int64)) AS browser_ms, CAST(NULL AS Nullable(Decimal(38, 12))) AS reported_cost
    FROM (
        SELECT * FROM night.read WHERE toDate(ts) = '{day}' AND request_id NOT IN night.repeated
        UNION ALL
        SELECT * FROM night.best WHERE toDate(ts) = '{day}'
    )
"""

# Rates are per single unit, so that each amount is one exact multiplication.
CHARGES = """
    WITH priced AS (
        SELECT u.* EXCEPT (source_file, source_line),
            team, environment, purpose,
            if(team IS NULL, 'none', 'convention') AS team_basis,
            model_billed, r.basis AS found, r.price_id AS found_id, own_cached,
            coalesce(input_tokens, 0) + coalesce(cached_input_tokens, 0) + coalesce(output_tokens, 0) = 0 AS nothing,
            input_tokens IS NULL AND output_tokens IS NULL AS unreported,
            coalesce(input_tokens, 0) * r.input AS input_items,
            coalesce(cached_input_tokens, 0) * r.cached AS cached_items,
            coalesce(output_tokens, 0) * r.output AS output_items,
            coalesce(cached_input_tokens, 0) * (r.input - r.cached) AS saved
        FROM ({usage}) AS u
        INNER JOIN night.rates AS r ON rate_provider = provider AND rate_model = model AND rate_tier = coalesce(tier, 'on_demand')
        LEFT JOIN night.keys AS k ON key_name = key
        WHERE ts >= valid_from AND ts < valid_until
    ), based AS (
        SELECT *, multiIf(unreported AND status NOT IN ('error', 'blocked'), 'unpriced', nothing, 'free', toString(found)) AS certainty,
            certainty = 'unpriced' AS is_unpriced, toDecimal128(0, 12) AS zero
        FROM priced
    )
    SELECT * EXCEPT (found, found_id, own_cached, nothing, unreported, input_items, cached_items, output_items, saved,
                     certainty, is_unpriced, zero),
        if(is_unpriced, NULL, input_items) AS input_cost,
        if(is_unpriced, NULL, cached_items) AS cached_input_cost,
        if(is_unpriced, NULL, zero) AS cache_write_cost,
        if(is_unpriced, NULL, output_items) AS output_cost,
        if(is_unpriced, NULL, zero) AS other_cost,
        if(is_unpriced, NULL, input_items + cached_items + output_items) AS cost,
        if(is_unpriced, NULL, input_items + cached_items + output_items) AS list_cost,
        if(is_unpriced, NULL, saved) AS cache_savings,
        if(is_unpriced, NULL, zero) AS batch_savings,
        certainty AS basis,
        multiIf(is_unpriced, 'no usage reported',
            basis = 'free' AND unreported, 'failed and reports no usage',
            basis = 'free', 'all reported quantities are 0',
            basis = 'fallback', concat('estimated at the fallback price: the book has no prices of `', model_billed, '`'),
            NOT own_cached AND cached_input_tokens > 0,
                '`cached_input_tokens` at the price of `input_tokens`: no price of its own', NULL) AS reason,
        if(basis IN ('list', 'fallback'), found_id, NULL) AS price_id
    FROM based
"""

ROLLUP = """
    SELECT toStartOfInterval(ts, INTERVAL 15 MINUTE) AS bucket_start, team, environment, purpose, key, provider, model,
        model_billed, tier, operation, basis,
        toInt64(count()) AS requests, toInt64(countIf(status = 'error')) AS errors,
        {sums},
        toInt64(countIf(basis = 'unpriced')) AS unpriced_requests,
        toInt64(countIf(basis = 'fallback')) AS estimated_requests,
        coalesce(sumIf(c.cost, basis = 'fallback'), toDecimal128(0, 12)) AS estimated_cost
    FROM file('{out}/charges/date={day}/charges.parquet', Parquet) AS c
    GROUP BY {key}
"""
KEY = "bucket_start, team, environment, purpose, key, provider, model, model_billed, tier, operation, basis"

SUMS = ", ".join(f"sum(c.{column}) AS {column}" for column in METERS + AMOUNTS)


def main(stage, logs, work, out):
    session = Session()
    run(session, SETTINGS + START.format(work=work))
    if stage == "price":
        days = [name.removeprefix("date=") for name in sorted(os.listdir(f"{work}/book/usage"))]
    else:
        run(session, READ.format(logs=logs))
        days = session.query("SELECT DISTINCT toDate(ts) AS day FROM night.read ORDER BY day", "CSV").bytes().decode()
        days = days.replace('"', "").split()
    for day in days:
        usage = USAGE.format(day=day)
        if stage == "price":
            usage = f"SELECT * FROM file('{work}/book/usage/date={day}/usage.parquet', Parquet)"
        selects = {
            "usage": usage,
            "charges": CHARGES.format(usage=usage),
            "rollup": ROLLUP.format(out=out, day=day, sums=SUMS, key=KEY),
        }
        if stage == "kept":
            order = {"usage": "ts, request_id", "charges": "ts, request_id", "rollup": KEY}
            selects = {table: f"SELECT * FROM ({select}) ORDER BY {order[table]}" for table, select in selects.items()}
        for table in {"ingest": ["usage"], "price": ["charges", "rollup"]}.get(stage, list(selects)):
            os.makedirs(f"{out}/{table}/date={day}")
            path = f"{out}/{table}/date={day}/{table}.parquet"
            session.query(f"INSERT INTO FUNCTION file('{path}', Parquet) {selects[table]}")
    if stage == "kept":
        bring_to_disk(out)


def run(session, statements):
    for statement in statements.strip().split(";\n"):
        session.query(statement)


if __name__ == "__main__":
    main(*sys.argv[1:])
