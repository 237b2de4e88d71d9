#!/usr/bin/env python3
"""Makes the logs of the demo workspace, and what providers answer about the
same time, the same every time.

    python3 generate.py            write the files below this directory
    python3 generate.py --check    say whether the logs here are the ones it would write

Plain Python 3, no packages. Everything is drawn from one seeded generator of
integers, so neither the machine nor the version of Python shows in the logs;
only the bytes of the .gz files depend on the version of zlib, which is why
--check compares what is inside them.

What the logs hold, and which troubles are hidden in them, is told in
../README.md. All of it is made up.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

SEED = 20260619
FIRST = datetime(2026, 5, 1, tzinfo=timezone.utc)
NOW = datetime(2026, 6, 19, 2, 0, tzinfo=timezone.utc)  # DEMO_NOW in src/demo.rs

SMALL, BIG = "llama-3.1-8b-instant", "llama-3.3-70b-versatile"
SCOUT = "meta-llama/llama-4-scout-17b-16e-instruct"
OSS = "openai/gpt-oss-120b"
# Looks like a credential and is none: a notebook sends it where its name belongs.
RAW_KEY = "gsk_MadeUpForTheDemo0NotARealKey1234567890"
PRICES = {SMALL: (50, 80), BIG: (590, 790), SCOUT: (110, 340), OSS: (150, 600)}  # USD per 1e9 tokens


# -- What providers bill for -----------------------------------------------------

billed = {}  # (day, model): [requests, input, cached input, output, pico-dollars]


def bill(at, model, prompt=0, completion=0, cached=0, half=False, pico=None):
    """Books a request on the day on which it ended, as the provider counts it."""
    if pico is None:
        price_in, price_out = PRICES.get(model, (100, 100))
        pico = ((prompt - cached) * price_in + cached * price_in // 2 + completion * price_out) * 1000
        # Batches are at half the price, but for one that was billed at 45 % off.
        pico = pico * (55 if at.day == 14 else 50) // 100 if half else pico
    sums = billed.setdefault((at.date(), model), [0, 0, 0, 0, 0])
    for index, value in enumerate((1, prompt, cached, completion, pico)):
        sums[index] += value


def bill_speech(at, model, seconds=None, characters=None):
    per_hour = {"whisper-large-v3": 111, "whisper-large-v3-turbo": 40}  # thousandths of a dollar
    if seconds is None:
        bill(at, model, pico=characters * 22_000_000)  # $22 per million
    else:
        bill(at, model, pico=max(int(seconds * 1000), 10_000) * per_hour[model] * 10**9 // 3_600_000)


class Draw:
    """splitmix64: a few lines, and the same on every machine."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def int(self, low, high):
        return low + self.next() % (high - low + 1)

    def one_in(self, n):
        return self.next() % n == 0

    def pick(self, *items):
        return items[self.next() % len(items)]

    def tailed(self, low, high):
        """Mostly near `low`, now and then near `high`."""
        return low + (high - low) * self.int(0, 1000) * self.int(0, 1000) // 1_000_000

    def hex(self, digits):
        return f"{self.next() << 64 | self.next():032x}"[:digits]

    def uuid(self):
        h = self.hex(32)
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def ulid(self, at):
        letters = "0123456789abcdefghjkmnpqrstvwxyz"
        number = int(at.timestamp() * 1000) << 80 | self.next() << 16 | self.next() >> 48
        return "".join(letters[number >> shift & 31] for shift in range(125, -1, -5))


draw = Draw(SEED)


def iso(at, digits=3):
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text[: 20 + digits].rstrip(".") + "Z"


def line(value):
    return json.dumps(value, separators=(",", ":"))


def days():
    day = FIRST
    while day < NOW:
        yield day
        day += timedelta(days=1)


def moment(day):
    """A time of a working day, most of them between 7 and 19."""
    hour = draw.int(0, 23) if draw.one_in(8) else 7 + (draw.int(0, 11) + draw.int(0, 12)) // 2
    return day + timedelta(hours=hour, milliseconds=draw.int(0, 3_599_999))


def busy(day, most):
    """How many requests a day has: less on weekends."""
    return draw.int(most // 2, most) // (4 if day.weekday() >= 5 else 1)


# -- The gateway: one line per request, three for a stream --------------------

gateway = []  # (time, text)
sequence = {}


def gateway_id(at):
    number = sequence[at.date()] = sequence.get(at.date(), 0) + 1
    return f"gw-{at:%Y%m%d}-{number:06}"


def wrapped(at, key, path="/openai/v1/chat/completions", status=200, **more):
    entry = {"ts": iso(at), "request_id": gateway_id(at)}
    entry.update({"api_key": key} if key == RAW_KEY else {"key": key})
    entry.update({"path": path, "status": status})
    entry.update(more)
    return entry


def log(at, entry):
    gateway.append((at, entry if isinstance(entry, (str, bytes)) else line(entry)))


def usage(prompt, completion, cached=None):
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return counts


def body(at, model, counts, tier="on_demand", id=None):
    return {
        "id": id or "chatcmpl-" + draw.uuid(),
        "object": "chat.completion",
        "created": int(at.timestamp()),
        "model": model,
        "usage": counts,
        "service_tier": tier,
    }


def chat(at, key, model, counts, limit, tier="on_demand", user=None, **more):
    took = 150 + counts["completion_tokens"] * 3 + draw.int(0, 400)
    entry = wrapped(at, key, latency_ms=took, **({"user": user} if user else {}), **more)
    entry["request"] = {"model": model, "max_tokens": limit}
    entry["response"] = body(at, model, counts, tier)
    log(at, entry)
    cached = counts.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    bill(at + timedelta(milliseconds=took), model, counts["prompt_tokens"], counts["completion_tokens"], cached)
    return entry


def stream(at, key, model, counts, limit, ends=True, lasts=None):
    """A stream is logged chunk by chunk: the same request three times."""
    id, groq = "chatcmpl-" + draw.uuid(), "req_" + draw.ulid(at)
    chunk = {"id": id, "object": "chat.completion.chunk", "created": int(at.timestamp()), "model": model}
    first = wrapped(at, key, request={"model": model, "max_tokens": limit, "stream": True})
    log(at, first | {"chunk": chunk | {"x_groq": {"id": groq}}})
    last = at + (lasts or timedelta(milliseconds=200 + counts["completion_tokens"] * 3))
    bill(last, model, counts["prompt_tokens"], counts["completion_tokens"])
    if not ends:  # The client went away: only the provider knows what it used.
        return
    again = {"ts": iso(last), "request_id": first["request_id"], "key": key, "path": first["path"], "status": 200}
    log(last, again | {"chunk": chunk | {"x_groq": {"id": groq, "usage": counts}}})
    log(last, again | {"chunk": chunk | {"choices": [], "usage": counts, "service_tier": "on_demand"}})


def refused(at, key, status, code, message, model=BIG, kind="invalid_request_error"):
    error = {"message": message, "type": kind, "code": code}
    log(at, wrapped(at, key, status=status, request={"model": model}, response={"error": error}))


def too_fast(at, key, model=BIG):
    refused(at, key, 429, "rate_limit_exceeded", f"Rate limit reached for model `{model}`", model, "tokens")


def everyday(day):
    for _ in range(busy(day, 26)):
        at, limit = moment(day), draw.pick(1024, 2048)
        model = SMALL if draw.one_in(4) else BIG
        counts = usage(draw.tailed(18_000, 110_000), draw.tailed(60, 1_000))
        if draw.one_in(4):
            stream(at, "chatbot-prod", model, counts, limit, ends=not draw.one_in(12))
        else:
            entry = chat(at, "chatbot-prod", model, counts, limit, user=f"u-{draw.int(100, 180)}")
            if draw.one_in(20):  # The gateway's own cache answers the same question again.
                later = at + timedelta(seconds=draw.int(30, 3000))
                log(later, wrapped(later, "chatbot-prod", cached=True, response=entry["response"]))
            if draw.one_in(150):  # The log shipper was not sure that it had sent this.
                log(at, line(entry))
    for _ in range(busy(day, 4)):
        chat(moment(day), "chatbot-staging", BIG, usage(draw.tailed(800, 6_000), draw.tailed(20, 700)), 2048)
    for _ in range(busy(day, 9)):
        prompt = draw.int(6_000, 14_000)
        counts = usage(prompt, draw.tailed(150, 1_500), prompt * draw.int(55, 90) // 100 // 128 * 128)
        chat(moment(day), "search-prod", OSS, counts, 4096)
    if day < datetime(2026, 6, 10, tzinfo=timezone.utc):
        for _ in range(busy(day, 3)):
            chat(moment(day), "analytics-legacy", SMALL, usage(draw.tailed(900, 9_000), draw.tailed(60, 500)), 512)
    if draw.one_in(3):
        at = moment(day)
        chat(at, "research-dev", SCOUT, usage(draw.tailed(3_000, 40_000), draw.tailed(200, 2_000)), 4096, "flex")
        refused(at + timedelta(seconds=4), "research-dev", 498, "capacity_exceeded", "Flex capacity exceeded", SCOUT)
    if draw.one_in(4):
        too_fast(moment(day), "chatbot-prod")
    if draw.one_in(5):
        chat(moment(day), RAW_KEY, BIG, usage(draw.tailed(2_000, 30_000), draw.tailed(100, 1_500)), 4096)
    probe = day + timedelta(hours=6)
    log(probe, {"ts": iso(probe), "path": "/healthz", "status": 200, "latency_ms": 1})


def runaway():
    """A staging job sends its whole transcript again and again, past midnight, until somebody wakes up."""
    at, prompt = datetime(2026, 6, 11, 23, 22, 40, tzinfo=timezone.utc), 121_480
    for turn in range(2_090):
        at += timedelta(milliseconds=draw.int(300, 1_300) if turn // 120 % 4 == 3 else draw.int(700, 2_700))
        chat(at, "chatbot-staging", BIG, usage(prompt, 2_048), 2048, user="nightly-eval")
        prompt += 4 if prompt < 128_900 else -7_000
        if draw.one_in(16):
            too_fast(at + timedelta(milliseconds=300), "chatbot-staging")


def oddities():
    def at(text):
        return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)

    # Across midnight: the first chunk in one day, the usage in the next.
    stream(at("2026-05-31T23:59:57.400"), "chatbot-prod", BIG, usage(41_210, 903), 2048, lasts=timedelta(seconds=5))
    stream(at("2026-06-14T23:59:58.900"), "chatbot-prod", BIG, usage(38_077, 777), 2048, lasts=timedelta(seconds=4))
    # A server in the house draws its ids from 999: the same one twice, five hours apart.
    for time, prompt in (("2026-06-03T09:12:31.050", 640), ("2026-06-03T14:05:02.610", 911)):
        entry = wrapped(at(time), "research-dev", provider="ollama", latency_ms=2_310)
        entry["response"] = body(at(time), "llama3.1:8b", usage(prompt, 120), id="chatcmpl-424")
        del entry["response"]["service_tier"]
        log(at(time), entry)
    # A model that no price list knows yet, and a key that nobody has registered.
    for n in range(14):
        chat(at("2026-06-09T10:00:00") + timedelta(hours=n), "research-dev", "llama-5-preview", usage(9_000, 700), 4096)
        chat(at("2026-06-13T01:10:00") + timedelta(minutes=7 * n), "scraper-tmp", SMALL, usage(5_400, 210), 512)
    # An old secret is tried again; a spending limit at the provider is reached.
    for n in range(6):
        refused(at("2026-06-16T07:30:00") + timedelta(seconds=n), "analytics-legacy", 401, "invalid_api_key",
                "Invalid API Key", SMALL)
    refused(at("2026-06-12T00:31:07.220"), "chatbot-staging", 400, "blocked_api_access", "API access is blocked")
    # Speech through the gateway: seconds heard, characters spoken.
    for n in range(9):
        time = at("2026-06-04T13:00:00") + timedelta(minutes=n)
        heard = {"text": "[left out]", "x_groq": {"id": "req_" + draw.ulid(time)}}
        log(time, wrapped(time, "chatbot-prod", "/openai/v1/audio/transcriptions", audio_seconds=4 + 17 * n,
                          request={"model": "whisper-large-v3-turbo"}, response=heard))
        bill_speech(time, "whisper-large-v3-turbo", seconds=4 + 17 * n)
    time = at("2026-06-04T13:20:00")
    log(time, wrapped(time, "chatbot-prod", "/openai/v1/audio/speech", characters=1_240,
                      request={"model": "canopylabs/orpheus-v1-english"}))
    bill_speech(time, "canopylabs/orpheus-v1-english", characters=1_240)
    # Successful, and no usage in it. Sums that are wrong. Numbers that cannot be.
    for n, counts in enumerate((None, usage(7_000, 300) | {"total_tokens": 9_999}, usage(-12, 40),
                                usage(9_200_000_000_000_000_000, 1), usage(100, 5) | {"prompt_tokens": "1,204"})):
        time = at("2026-06-08T15:20:00") + timedelta(minutes=n)
        entry = wrapped(time, "chatbot-prod", request={"model": BIG})
        entry["response"] = body(time, BIG, counts)
        log(time, entry)
        bill(time, BIG, 7_000, 300)
    # Lines that are no JSON: prose, a glued one, bytes that are no text, a secret in a broken one.
    log(at("2026-06-05T03:00:01"), "upstream connect error or disconnect/reset before headers")
    log(at("2026-06-05T03:00:02"), '{"ts":"2026-06-05T03:00:02.118Z","request_id":"gw-20{"ts":"2026-06-05T03:00:03Z"}')
    log(at("2026-06-05T03:00:03"), b'{"ts":"2026-06-05T03:00:03.500Z","key":"chatbot-\xff\xfe')
    log(at("2026-06-05T03:00:04"), '{"ts":"2026-06-05T03:00:04Z","authorization":"Bearer ' + RAW_KEY + '","status":')
    log(at("2026-06-05T03:00:05"), {"ts": 17, "key": "chatbot-prod", "response": body(at("1970-01-01T00:00:17"), BIG,
                                                                                     usage(5, 5))})


def gateway_files():
    for day in days():
        everyday(day)
    runaway()
    oddities()
    gateway.sort(key=lambda it: it[0])
    until = [FIRST + timedelta(days=31), FIRST + timedelta(days=45), NOW - timedelta(minutes=4)]
    may, june, live = ([text for at, text in gateway if low <= at < high]
                       for low, high in zip([FIRST, *until], until))
    live.append(b'{"ts":"2026-06-19T01:58:41.377Z","request_id":"gw-20260619-000009","key":"chatbot-prod","path":"/open')
    yield "logs/gateway/gateway.jsonl-20260601.gz", joined(may)
    yield "logs/gateway/gateway.jsonl-20260615.gz", joined(june)
    # Copied aside by hand before the rotation: the end of the file above once more.
    yield "logs/gateway/gateway.jsonl.bak", joined(june[-60:])
    # Still being written: its last line is half of one.
    yield "logs/gateway/gateway.jsonl", joined(live)[:-1]


def joined(lines):
    return b"".join((it if isinstance(it, bytes) else it.encode()) + b"\n" for it in lines)


# -- LiteLLM: rows of its spend logs, exported month by month -----------------


def cost(model, prompt, completion, batch=False):
    price_in, price_out = PRICES[model]
    return (prompt * price_in + completion * price_out) / 1e9 / (2 if batch else 1)


def spend_row(at, alias, team, model, prompt, completion, limit, asked, tag):
    took = timedelta(milliseconds=300 + completion * 3 + draw.int(0, 500))
    return {
        "request_id": "chatcmpl-" + draw.uuid(),
        "call_type": "acompletion",
        "api_key": hashlib.sha256(b"made up " + alias.encode()).hexdigest(),
        "spend": cost(model, prompt, completion),
        "total_tokens": prompt + completion,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "startTime": iso(at),
        "endTime": iso(at + took),
        "model": "groq/" + model,
        "model_group": asked,
        "custom_llm_provider": "groq",
        "user": "default_user_id",
        "metadata": {"user_api_key_alias": alias, "user_api_key_team_alias": team, "status": "success"},
        "cache_hit": "False",
        "request_tags": [tag],
        "proxy_server_request": {"max_tokens": limit},
        "status": "success",
    }


def sold(row):
    """The same row, which the provider has on the day on which it ended."""
    ended = datetime.fromisoformat(row["endTime"])
    bill(ended, row["model"].removeprefix("groq/"), row["prompt_tokens"], row["completion_tokens"])
    return row


def failed(row, status, code, name):
    row.update(spend=0.0, total_tokens=0, prompt_tokens=0, completion_tokens=0, status="failure")
    row["metadata"] |= {"status": "failure", "error_information": {"error_code": code, "error_class": name}}
    return row


def spend_rows():
    for day in days():
        for _ in range(busy(day, 8)):
            row = spend_row(moment(day), "analytics-prod", "analytics", SMALL, draw.tailed(2_000, 24_000),
                            draw.tailed(60, 480), 512, "fast", "report")
            yield sold(row)
            if draw.one_in(25):  # LiteLLM's own cache: the same id with a suffix, and no spend.
                again = datetime.fromisoformat(row["endTime"]) + timedelta(minutes=20)
                yield row | {"request_id": f"{row['request_id']}_cache_hit{again.timestamp():.3f}", "spend": 0.0,
                             "cache_hit": "True", "startTime": iso(again), "endTime": iso(again)}
        for _ in range(busy(day, 10)):
            yield sold(spend_row(moment(day), "research-prod", "research", draw.pick(BIG, BIG, SCOUT, SMALL),
                                 draw.tailed(8_000, 70_000), draw.tailed(300, 4_000), 4096, "large", "paper"))
        if draw.one_in(6):
            yield failed(spend_row(moment(day), "research-prod", "research", BIG, 0, 0, 4096, "large", "paper"),
                         "failure", "429", "RateLimitError")
        check = sold(spend_row(day + timedelta(hours=5), "health", None, SMALL, 10, 1, 5, "fast", "health"))
        yield check | {"api_key": "litellm-internal-health-check"}
        if day.weekday() == 6:  # A week's evaluation as one batch: LiteLLM writes one row with its cost.
            yield batch_cost(day + timedelta(hours=20))
        if (day.month, day.day) in ((6, 16), (6, 17), (6, 18)):  # Somebody changed the model group's default.
            for _ in range(150):
                yield sold(spend_row(moment(day), "analytics-prod", "analytics", BIG, draw.int(96_000, 112_000),
                                     draw.int(300, 512), 512, "fast", "report"))


def batch_cost(at):
    prompt, completion = draw.int(52_000_000, 66_000_000), draw.int(5_000_000, 8_000_000)
    made, id = at - timedelta(hours=5), "batch_" + draw.ulid(at - timedelta(hours=5))
    row = spend_row(at, "research-prod", "research", BIG, prompt, completion, None, "large", "evaluation")
    bill(made, BIG, prompt, completion, half=True)
    return row | {"request_id": id + "_batch_cost", "call_type": "aretrieve_batch",
                  "spend": cost(BIG, prompt, completion, batch=True), "endTime": iso(at),
                  "response": {"id": id, "object": "batch", "created_at": int(made.timestamp())}}


def litellm_files():
    rows = sorted((row for row in spend_rows() if row["startTime"] < iso(NOW)), key=lambda row: row["startTime"])
    # One row lost its key's name, and one its id.
    rows[40]["metadata"].pop("user_api_key_alias")
    rows[90]["request_id"] = "None"
    may = [row for row in rows if row["startTime"] < "2026-06-01"]
    # The export of June begins a day early: those rows are there twice.
    june = [row for row in rows if row["startTime"] >= "2026-05-31"]
    yield "logs/litellm/spendlogs-2026-05.jsonl.gz", joined(map(line, may))
    yield "logs/litellm/spendlogs-2026-06.jsonl.gz", joined(map(line, june))


# -- Groq's batches: output files as downloaded --------------------------------


def batch_lines(at, count, key):
    made = at
    for number in range(count):
        groq = "req_" + draw.ulid(at)
        counts = usage(draw.tailed(3_000, 60_000), draw.tailed(100, 900))
        bill(made, SMALL, counts["prompt_tokens"], counts["completion_tokens"], half=True)
        answer = body(at, SMALL, counts)
        answer["x_groq"] = {"id": groq}
        del answer["service_tier"]
        entry = {"id": "batch_req_out_" + draw.ulid(at), "custom_id": f"ticket-{number + 1}",
                 "response": {"status_code": 200, "request_id": groq, "body": answer}, "error": None}
        yield line(entry | ({"key": key, "batch_created_at": int(made.timestamp())} if key else {}))
        at += timedelta(milliseconds=draw.int(200, 4_000))


def batch_files():
    at = datetime(2026, 5, 5, 1, 4, tzinfo=timezone.utc)
    while at < NOW - timedelta(days=1):
        # From a draw of its own: names stay when something above changes.
        id = Draw(int(at.timestamp())).ulid(at)
        name = f"logs/batches/{at:%Y-%m-%d}_batch_{id}_output.jsonl"
        # The first was fetched by hand; from then on a script adds whose it is, and of when.
        lines = list(batch_lines(at, draw.int(28, 44), None if at.month == 5 and at.day == 5 else "batch-processor"))
        if (at.month, at.day) == (5, 19):
            lines[7] = lines[7][:210]  # the download was interrupted, and went on in the next line
            yield name.replace("_output", "_output (1)"), joined(lines)  # downloaded twice
        yield name, joined(lines)
        if (at.month, at.day) == (6, 16):
            expired = [{"id": "batch_req_out_" + draw.ulid(at), "custom_id": f"ticket-{50 + n}", "response": None,
                        "error": {"code": "batch_expired", "message": "This request could not be executed"},
                        "key": "batch-processor", "batch_created_at": int(at.timestamp())} for n in range(3)]
            yield name.replace("_output", "_error"), joined(map(line, expired))
        at += timedelta(days=7)


# -- Speech: a CSV file of a service in the house ------------------------------


def voice_files():
    header = ["started_at", "id", "path", "status", "took_s", "model", "audio_s", "characters"]
    for month in (5, 6):
        out = io.StringIO()
        write = csv.writer(out, lineterminator="\r\n").writerow
        write(header)
        for day in days():
            if day.month != month or day > datetime(2026, 6, 16, tzinfo=timezone.utc):
                continue  # On 16 June the service moved, and nobody told who reads its log.
            for at in sorted(moment(day) for _ in range(busy(day, 8))):
                local = (at + timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S")  # Berlin, in summer
                id, took = "v-" + draw.hex(20), f"0.{draw.int(200, 999)}"
                if draw.one_in(4):
                    characters = draw.int(80, 900)
                    write([local, id, "/v1/audio/speech", 200, took, "canopylabs/orpheus-v1-english", "", characters])
                    bill_speech(at, "canopylabs/orpheus-v1-english", characters=characters)
                else:
                    whole, tenth = draw.tailed(3, 1_900), draw.int(0, 9)
                    write([local, id, "/v1/audio/transcriptions", 200, took, "whisper-large-v3", f"{whole}.{tenth}",
                           ""])
                    bill_speech(at, "whisper-large-v3", seconds=whole + tenth / 10)
        if month == 6:
            out.write("2026-06-09 10:00:00,v-broken,/v1/audio/speech,200\r\n")
        yield f"logs/voice/voice-2026-{month:02}.csv", out.getvalue().encode()


# -- What providers answer when they are asked, on the night of the demo ---------


def unseen():
    """What no log shows: speech since the service moved, and a key that is used past the gateway."""
    other = Draw(SEED + 1)
    for day in (16, 17, 18):
        start = datetime(2026, 6, day, 1, 30, tzinfo=timezone.utc)
        if day > 16:
            for n in range(7):
                bill_speech(start + timedelta(hours=8, minutes=20 * n), "whisper-large-v3", seconds=other.int(30, 1_500))
        for n in range(180):
            at = start + timedelta(seconds=20 * n)
            bill(at, BIG, other.tailed(9_000, 40_000), other.tailed(100, 900))


def usd(pico):
    return round(pico / 10**12, 6)


def answer_files():
    unseen()
    told = "2026-06-19T01:30:00Z"
    rows = []
    for (day, model), (requests, prompt, cached, completion, pico) in sorted(billed.items(), key=lambda it: it[0]):
        if day.month == 6 and day < NOW.date():
            midnight = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
            rows.append({"organization_name": "Example", "timestamp": int(midnight.timestamp()), "model": model,
                         "num_requests": requests, "n_context_tokens_total": prompt,
                         "n_non_cached_context_tokens_total": prompt - cached,
                         "n_generated_tokens_total": completion, "cost": usd(pico)})
    lines = ",\n".join(map(line, rows))
    yield "answers/groq-activity-2026-06.json", f'{{"fetched_at":"{told}","object":"list","data":[\n{lines}\n]}}\n'.encode()
    # OpenAI tells keys by their ids. Nothing of this goes through the gateway.
    buckets = []
    other = Draw(SEED + 2)
    for day in range(1, 19):
        start = int(datetime(2026, 6, day, tzinfo=timezone.utc).timestamp())
        results = []
        if day in (15, 16, 17, 18):
            results.append({"object": "organization.usage.completions.result", "project_id": "proj_research",
                            "api_key_id": "key_MadeUpEval01", "model": "gpt-4.1-mini-2025-04-14", "batch": False,
                            "service_tier": "default", "num_model_requests": other.int(300, 900),
                            "input_tokens": other.int(2_000_000, 9_000_000), "input_cached_tokens": 0,
                            "output_tokens": other.int(200_000, 700_000)})
        buckets.append({"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": results})
    lines = ",\n".join(map(line, buckets))
    yield ("answers/openai-usage-2026-06.json",
           f'{{"fetched_at":"{told}","object":"page","has_more":false,"next_page":null,"data":[\n{lines}\n]}}\n'.encode())


def packed(name, content):
    if not name.endswith(".gz"):
        return content
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0, compresslevel=9) as file:
        file.write(content)
    return out.getvalue()


def main():
    here, differ = Path(__file__).resolve().parent, []
    for files in (gateway_files(), litellm_files(), batch_files(), voice_files(), answer_files()):
        for name, content in files:
            path = here / name
            if sys.argv[1:] == ["--check"]:
                found = path.read_bytes() if path.exists() else b""
                if (gzip.decompress(found) if name.endswith(".gz") and found else found) != content:
                    differ.append(name)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(packed(name, content))
    if differ:
        sys.exit("not as generate.py would write them: " + ", ".join(differ))


if __name__ == "__main__":
    main()
