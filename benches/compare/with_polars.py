"""The night in Polars: logs in, usage, charges and rollup out, by day.

    POLARS_MAX_THREADS=2 python with_polars.py night|kept|ingest|price LOGS WORK OUT

`price` reads the `usage` that spendbook wrote in WORK, `kept` writes rows in their
order.
"""

import glob
import os
import sys

import polars as pl
from polars import col, lit

from disk import bring_to_disk
from names import AMOUNTS, METERS

MONEY = pl.Decimal(38, 12)
LINE = {
    "ts": pl.String,
    "request_id": pl.String,
    "key": pl.String,
    "team": pl.String,
    "user": pl.String,
    "model": pl.String,
    "http_status": pl.Int64,
    "error_code": pl.String,
    "service_tier": pl.String,
    "max_tokens": pl.Int64,
    "latency_ms": pl.Int64,
    "usage": pl.Struct(
        {
            "prompt_tokens": pl.Int64,
            "completion_tokens": pl.Int64,
            "prompt_tokens_details": pl.Struct({"cached_tokens": pl.Int64}),
        }
    ),
}
ORDER = ["ts", "request_id"]
KEY = "bucket_start team environment purpose key provider model model_billed tier operation basis".split()


def read(logs):
    """All lines; of a request that comes more than once, the one with the largest output."""
    usage = col("usage").struct
    lines = (
        pl.scan_ndjson(sorted(glob.glob(f"{logs}/*")), schema=LINE, include_file_paths="file")
        .select(
            col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
            "request_id", "file", "key", "team", "user", "model", col("http_status").cast(pl.Int16), "error_code", "service_tier", "max_tokens", "latency_ms",
            usage.field("prompt_tokens").alias("input"),
            usage.field("prompt_tokens_details").struct.field("cached_tokens").alias("cached"),
            usage.field("completion_tokens").alias("output"),
        )
        .collect(engine="streaming")
    )
    repeated = col("request_id").is_duplicated()
    best = lines.filter(repeated).sort("output", descending=True, nulls_last=True)
    best = best.unique("request_id", keep="first", maintain_order=True)
    return pl.concat([lines.filter(~repeated), best])


def null(*names, dtype=pl.Int64):
    return [lit(None, dtype).alias(name) for name in names]


def usage_of(lines):
    status = pl.when(col("error_code") == "blocked_api_access").then(lit("blocked"))
    status = status.when(col("http_status") >= 400).then(lit("error")).otherwise(lit("success"))
    return lines.select(
        "ts", col("ts").alias("ts_last"), "request_id", *null("part", dtype=pl.String), lit("gateway").alias("source"),
        col("file").alias("source_file"), lit(0, pl.Int64).alias("source_line"), lit("groq").alias("provider"), "model",
        *null("model_requested", dtype=pl.String), col("service_tier").alias("tier"), lit("chat").alias("operation"), "key",
        col("team").alias("team_reported"), "user", *null("project", "tags", dtype=pl.String), status.alias("status"),
        "http_status", "error_code", "max_tokens", "latency_ms", *null("streamed", dtype=pl.Boolean),
        lit(False).alias("gateway_cache"),
        pl.when(col("input").is_null()).then(lit("missing")).otherwise(lit("reported")).alias("quality"),
        (col("input") - col("cached").fill_null(0)).alias("input_tokens"), col("cached").alias("cached_input_tokens"),
        *null("cache_write_5m_tokens", "cache_write_1h_tokens"), col("output").alias("output_tokens"),
        *null("reasoning_tokens", "audio_ms", "characters", "images", "web_searches", "page_visits", "code_ms", "browser_ms"),
        *null("reported_cost", dtype=MONEY),
    )


def charges_of(usage, rates, keys):
    """Rates are per single unit, so that each amount is one exact multiplication."""
    count = {name: col(f"{name}_tokens").fill_null(0) for name in ["input", "cached_input", "output"]}
    nothing = (count["input"] + count["cached_input"] + count["output"]) == 0
    unreported = col("input_tokens").is_null() & col("output_tokens").is_null()
    refused = col("status").is_in(["error", "blocked"])
    basis = pl.when(unreported & ~refused).then(lit("unpriced")).when(nothing).then(lit("free")).otherwise(col("found"))
    amounts = {
        "input_cost": count["input"] * col("input"),
        "cached_input_cost": count["cached_input"] * col("cached"),
        "cache_write_cost": lit(0).cast(MONEY),
        "output_cost": count["output"] * col("output"),
        "other_cost": lit(0).cast(MONEY),
    }
    cost = amounts["input_cost"] + amounts["cached_input_cost"] + amounts["output_cost"]
    amounts |= {"cost": cost, "list_cost": cost}
    amounts |= {"cache_savings": count["cached_input"] * (col("input") - col("cached")), "batch_savings": lit(0).cast(MONEY)}
    reason = pl.when(col("basis") == "unpriced").then(lit("no usage reported"))
    reason = reason.when((col("basis") == "free") & unreported).then(lit("failed and reports no usage"))
    reason = reason.when(col("basis") == "free").then(lit("all reported quantities are 0"))
    fallback = pl.format("estimated at the fallback price: the book has no prices of `{}`", "model_billed")
    reason = reason.when(col("basis") == "fallback").then(fallback)
    at_input = lit("`cached_input_tokens` at the price of `input_tokens`: no price of its own")
    reason = reason.when(~col("own_cached") & (col("cached_input_tokens") > 0)).then(at_input)
    columns = [name for name in usage.collect_schema().names() if name not in ("source_file", "source_line")]
    return (
        usage.with_columns(asked=col("tier").fill_null("on_demand"))
        .join(rates, left_on=["provider", "model", "asked"], right_on=["provider", "model", "tier"])
        .filter(col("ts") >= col("valid_from"), col("ts") < col("valid_until"))
        .join(keys, on="key", how="left")
        .with_columns(basis=basis)
        .select(
            *columns, "team", "environment", "purpose",
            pl.when(col("team").is_null()).then(lit("none")).otherwise(lit("convention")).alias("team_basis"), "model_billed",
            *[pl.when(col("basis") != "unpriced").then(amount).alias(name) for name, amount in amounts.items()],
            "basis", reason.alias("reason"), pl.when(col("basis").is_in(["list", "fallback"])).then("price_id").alias("price_id"),
        )
    )


def rollup_of(charges):
    def some(column):
        """The sum as in SQL: NULL where there is nothing to add."""
        return pl.when(col(column).count() > 0).then(col(column).sum()).alias(column)

    fallback = col("basis") == "fallback"
    return (
        charges.with_columns(bucket_start=col("ts").dt.truncate("15m"))
        .group_by(KEY)
        .agg(
            pl.len().cast(pl.Int64).alias("requests"),
            (col("status") == "error").sum().cast(pl.Int64).alias("errors"),
            *[some(column) for column in METERS + AMOUNTS],
            (col("basis") == "unpriced").sum().cast(pl.Int64).alias("unpriced_requests"),
            fallback.sum().cast(pl.Int64).alias("estimated_requests"),
            col("cost").filter(fallback).sum().alias("estimated_cost"),
        )
    )


def main(stage, logs, work, out):
    rates = pl.read_csv(f"{work}/rates.csv", schema_overrides=dict.fromkeys(["valid_from", "valid_until", "input", "cached", "output"], pl.String))
    rates = rates.with_columns(
        col("valid_from", "valid_until").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC"),
        col("input", "cached", "output").cast(MONEY),
    ).rename({"basis": "found"}).lazy()
    keys = pl.read_csv(f"{work}/keys.csv").lazy()
    if stage == "price":
        days = [name.removeprefix("date=") for name in sorted(os.listdir(f"{work}/book/usage"))]
    else:
        lines = read(logs)
        days = lines.select(col("ts").dt.date().unique().sort()).to_series()
    is_kept = stage == "kept"
    for day in days:
        if stage == "price":
            usage = pl.scan_parquet(f"{work}/book/usage/date={day}/usage.parquet", hive_partitioning=False)
        else:
            usage = usage_of(lines.lazy().filter(col("ts").dt.date() == day))
            write(usage, out, "usage", day, ORDER if is_kept else None)
        if stage != "ingest":
            write(charges_of(usage, rates, keys), out, "charges", day, ORDER if is_kept else None)
            charges = pl.scan_parquet(f"{out}/charges/date={day}/charges.parquet", hive_partitioning=False)
            write(rollup_of(charges), out, "rollup", day, KEY if is_kept else None)
    if is_kept:
        bring_to_disk(out)


def write(frame, out, table, day, order=None):
    path = f"{out}/{table}/date={day}/{table}.parquet"
    if order:
        frame = frame.sort(order)
    keeps = order is not None
    frame.sink_parquet(path, compression="zstd", row_group_size=131_072, maintain_order=keeps, mkdir=True, engine="streaming")


if __name__ == "__main__":
    main(*sys.argv[1:])
