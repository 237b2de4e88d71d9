#!/usr/bin/env python3
"""Ingest against DuckDB: the same logs, the same rows and columns, paired runs.

Both read the canonical workload (benches/workload.rs) with two threads, keep one
row per request, and write all 39 columns of `usage` as zstd Parquet by day. The
rows and totals of both are compared first, so that a fast wrong answer fails.
Prints the median of wall time, CPU time and peak memory, and of the ratio pair
by pair.

    python3 benches/compare/ingest.py --logs DIR [--runs 5] [--spendbook PATH]

Makes a virtual environment with DuckDB in DIR/.venv where DuckDB is missing.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

DUCKDB = "duckdb==2.0.0"

# What a careful user would write: an explicit schema, so that nothing is guessed;
# the best version of each request; decimals and timestamps typed as ours.
QUERY = """
SET threads = 2;
SET enable_progress_bar = false;
SET preserve_insertion_order = false;
COPY (
    SELECT
        ts, ts AS ts_last, request_id, NULL::VARCHAR AS part, 'gateway' AS source,
        filename AS source_file, 0::BIGINT AS source_line, 'groq' AS provider, model,
        NULL::VARCHAR AS model_requested, service_tier AS tier, 'chat' AS operation, "key",
        team AS team_reported, "user", NULL::VARCHAR AS project, NULL::VARCHAR AS tags,
        CASE WHEN http_status >= 400 THEN 'error' ELSE 'success' END AS status,
        http_status::SMALLINT AS http_status, error_code, max_tokens, latency_ms,
        NULL::BOOLEAN AS streamed, false AS gateway_cache,
        CASE WHEN usage IS NULL THEN 'missing' ELSE 'reported' END AS quality,
        usage.prompt_tokens - coalesce(usage.prompt_tokens_details.cached_tokens, 0) AS input_tokens,
        usage.prompt_tokens_details.cached_tokens AS cached_input_tokens,
        NULL::BIGINT AS cache_write_5m_tokens, NULL::BIGINT AS cache_write_1h_tokens,
        usage.completion_tokens AS output_tokens, NULL::BIGINT AS reasoning_tokens,
        NULL::BIGINT AS audio_ms, NULL::BIGINT AS characters, NULL::BIGINT AS images,
        NULL::BIGINT AS web_searches, NULL::BIGINT AS page_visits, NULL::BIGINT AS code_ms,
        NULL::BIGINT AS browser_ms, NULL::DECIMAL(38, 12) AS reported_cost,
        ts::DATE AS date
    FROM read_ndjson('{logs}/gateway-*.jsonl', filename = true, columns = {{
        ts: 'TIMESTAMP', request_id: 'VARCHAR', "key": 'VARCHAR', team: 'VARCHAR', "user": 'VARCHAR',
        model: 'VARCHAR', http_status: 'INTEGER', error_code: 'VARCHAR', service_tier: 'VARCHAR',
        max_tokens: 'BIGINT', latency_ms: 'BIGINT',
        usage: 'STRUCT(prompt_tokens BIGINT, completion_tokens BIGINT, total_tokens BIGINT,
                prompt_tokens_details STRUCT(cached_tokens BIGINT))'
    }})
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY usage.completion_tokens DESC NULLS LAST) = 1
) TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (date), OVERWRITE);
"""

# Over all days: of two versions of a request, ours keeps the earlier time.
TOTALS = """
SELECT count(*) AS rows, count(DISTINCT request_id) AS requests, sum(input_tokens) AS input,
       sum(cached_input_tokens) AS cached, sum(output_tokens) AS output, count(DISTINCT "user") AS users
FROM read_parquet('{files}', hive_partitioning = false)
"""

CONFIG = """
[[source]]
name = "gateway"
format = "native"
path = "{logs}/gateway-*.jsonl"
provider = "groq"
"""


def main():
    arguments = parse_arguments()
    logs = Path(arguments.logs).resolve()
    python = environment(logs / ".venv")
    work = logs / ".compare"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "spendbook.toml").write_text(CONFIG.format(logs=logs))
    ours = [str(Path(arguments.spendbook).resolve()), "ingest", "-q"]  # finds the config in its directory
    theirs = [python, "-c", f"import duckdb; duckdb.sql('''{QUERY.format(logs=logs, out=work / 'duckdb')}''')"]
    pairs = []
    for run in range(arguments.runs + 1):  # the first pair warms the page cache up
        shutil.rmtree(work / "book", ignore_errors=True)
        a = measure(ours, work)
        shutil.rmtree(work / "duckdb", ignore_errors=True)
        b = measure(theirs, work)
        if run == 0:
            compare(python, work)
        else:
            pairs.append((a, b))
            print(f"run {run}: spendbook {a[0]:.2f} s, duckdb {b[0]:.2f} s, {b[0] / a[0]:.2f} times", flush=True)
    report(pairs)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logs", required=True, help="directory that benches/workload.rs wrote")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--spendbook", default="target/release/spendbook")
    return parser.parse_args()


def environment(path):
    """A Python that has DuckDB: this one, or one of our own."""
    if subprocess.run([sys.executable, "-c", "import duckdb"], capture_output=True).returncode == 0:
        return sys.executable
    if not path.exists():
        venv.create(path, with_pip=True)
        subprocess.run([path / "bin/pip", "install", "--quiet", DUCKDB], check=True)
    return str(path / "bin/python")


def measure(command, directory):
    """Wall and CPU seconds and peak MiB of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"{command[0]} failed with status {status}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(python, work):
    """Both must hold the same rows, or the comparison is worth nothing."""
    found = []
    for files in [f"{work}/book/usage/*/usage.parquet", f"{work}/duckdb/*/*.parquet"]:
        code = f"import duckdb; duckdb.sql('SET enable_progress_bar = false'); print(*duckdb.sql('''{TOTALS.format(files=files)}''').fetchall()[0])"
        found.append(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    if found[0] != found[1]:
        sys.exit(f"the results differ (rows, requests, input, cached, output, users):\n{found[0]}{found[1]}")
    print(f"both hold the same {int(found[0].split()[0]):,} requests and tokens", flush=True)


def report(pairs):
    print(f"{'':12}{'wall':>10}{'cpu':>10}{'peak':>12}")
    for name, side in [("spendbook", 0), ("duckdb", 1)]:
        wall, cpu, peak = (statistics.median(pair[side][at] for pair in pairs) for at in range(3))
        print(f"{name:12}{wall:8.2f} s{cpu:8.2f} s{peak:8.0f} MiB")
    ratios = sorted(pair[1][0] / pair[0][0] for pair in pairs)
    print(f"{statistics.median(ratios):.2f} times faster ({ratios[0]:.2f} to {ratios[-1]:.2f}), {len(pairs)} pairs")


if __name__ == "__main__":
    main()
