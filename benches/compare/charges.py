#!/usr/bin/env python3
"""Every charge of a book against Python's `decimal`, to the last digit.

Works out each request's nine amounts, its basis and the model it is billed as,
from `usage` and the CSV files of the price book alone, and compares them with
`charges`. Then adds up: rows, `rollup`, teams and models must come to the same,
with `==`. It shares no code with spendbook: it reads the price book by itself,
and chooses as `pricing/README.md` says.

    python3 benches/compare/charges.py --book BOOK --pricing DIR [--known-on INSTANT]

Needs pyarrow. `--known-on` is what spendbook had for `--now`.
"""

import argparse
import bisect
import csv
import sys
from collections import defaultdict
from datetime import datetime, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal, setcontext
from pathlib import Path

import pyarrow.parquet as pq

from names import AMOUNTS, METERS

setcontext(Context(prec=60, rounding=ROUND_HALF_EVEN))

COLUMN = {
    "input_tokens": "input_cost",
    "cached_input_tokens": "cached_input_cost",
    "cache_write_5m_tokens": "cache_write_cost",
    "cache_write_1h_tokens": "cache_write_cost",
    "output_tokens": "output_cost",
}
CACHE = ("cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
PARTS = ["input_cost", "cached_input_cost", "cache_write_cost", "output_cost", "other_cost"]
KINDS = ["contract", "list", "fallback"]
CERTAINTY = {"contract": 1, "list": 2, "fallback": 3, "unpriced": 4}
SUFFIX = {"": 1, "k": 10**3, "M": 10**6, "s": 10**3, "m": 60 * 10**3, "h": 3600 * 10**3}
PICO, ZERO = Decimal("1e-12"), Decimal(0)
FOREVER = 2**62


def main():
    arguments = parse_arguments()
    book = Prices(Path(arguments.pricing), micros(arguments.known_on))
    rows = different = 0
    totals = defaultdict(lambda: defaultdict(Decimal))
    for charges in sorted(Path(arguments.book).glob("charges/date=*/charges.parquet")):
        usage = Path(arguments.book, "usage", charges.parent.name, "usage.parquet")
        for request, charge in zip(read(usage), read(charges), strict=True):
            rows += 1
            wrong = compare(request, charge, book)
            if wrong:
                different += 1
                if different <= 10:
                    print(f"{charge['request_id']} of {charges.parent.name}: {wrong}")
            cost = charge["cost"] or ZERO
            for name, key in [("rows", ""), ("team", charge["team"]), ("model", charge["model_billed"])]:
                totals[name][key] += cost
        for line in read(charges.parents[2] / "rollup" / charges.parent.name / "rollup.parquet"):
            totals["rollup"][""] += line["cost"] or ZERO
    sums = {name: sum(by.values(), ZERO) for name, by in totals.items()}
    print(f"{rows:,} charges, {different:,} of them differ; " + ", ".join(f"{name} {sums[name]}" for name in sums))
    if rows == 0 or different or len(set(sums.values())) != 1:
        sys.exit("the charges are not what decimal arithmetic makes them")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--book", required=True)
    parser.add_argument("--pricing", required=True)
    parser.add_argument("--known-on", default="2100-01-01", help="leave out what was learnt after this instant")
    return parser.parse_args()


def read(path):
    for batch in pq.ParquetFile(path).iter_batches(65_536):
        columns = batch.to_pydict()
        for values in zip(*columns.values()):
            yield dict(zip(columns, values))


def micros(text):
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return since_1970(at)


def since_1970(at):
    days = at - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (days.days * 86_400 + days.seconds) * 10**6 + days.microseconds


def amount(text):
    digits = text.rstrip("kMsmh")
    return int(digits) * SUFFIX[text[len(digits) :]] if text else 0


class Prices:
    """The rows known on an instant, and the choice among them."""

    def __init__(self, directory, known_on):
        self.prices, self.aliases = defaultdict(list), defaultdict(list)
        for path in sorted(directory.glob("*.csv")):
            if path.name == "pins.csv":
                continue
            for row in csv.DictReader(path.open(encoding="utf-8-sig", newline="")):
                row["from"], row["known"] = micros(row["valid_from"]), micros(row["known_from"])
                row["until"] = micros(row["valid_until"]) if row["valid_until"] else FOREVER
                if row["known"] > known_on:
                    continue
                if path.name == "aliases.csv":
                    self.aliases[row["provider"], row["alias"]].append(row)
                    continue
                if row["price_usd"]:
                    row["rate"] = (Decimal(row["price_usd"]), amount(row["per"]), amount(row["min_quantity"]))
                else:
                    row["rate"] = None
                self.prices[row["provider"], row["model"]].append(row)
        self.bounds, self.chosen = {}, {}

    def stretch(self, provider, model, at):
        """A number for the stretch of time in which nothing changes."""
        if (provider, model) not in self.bounds:
            rows = list(self.aliases[provider, model])
            for name in {model, "*", *(alias["model"] for alias in rows)}:
                rows += self.prices[provider, name]
            self.bounds[provider, model] = sorted({row[key] for row in rows for key in ("from", "until")})
        return bisect.bisect_right(self.bounds[provider, model], at)

    def choice(self, provider, model, tier, at):
        """The billed name, and for each meter what it costs and would cost."""
        key = (provider, model, tier, self.stretch(provider, model, at))
        if key not in self.chosen:
            alias = latest(row for row in self.aliases[provider, model] if row["from"] <= at < row["until"])
            billed = alias["model"] if alias and alias["model"] else model
            cards = self.cards(provider, billed, tier, at)
            ordinary = self.cards(provider, billed, "on_demand", at) if tier == "batch" else []
            self.chosen[key] = billed, {meter: choose(meter, cards, ordinary) for meter in METERS}
        return self.chosen[key]

    def cards(self, provider, model, tier, at):
        cards = []
        for name in dict.fromkeys([model, "*"]):
            rows = [row for row in self.prices[provider, name] if row["from"] <= at < row["until"]]
            for kind in KINDS:
                own = [row for row in rows if row["kind"] == kind]
                decided = tier if any(row["tier"] == tier for row in own) else "*"
                card = {m: latest(r for r in own if r["tier"] == decided and r["meter"] == m) for m in METERS}
                cards.append(((name == model, kind), card))
        return cards


def latest(rows):
    return max(rows, key=lambda row: row["known"], default=None)


def live(meter, card):
    for name in [meter, "input_tokens"] if meter in CACHE else [meter]:
        if card[name] and card[name]["rate"]:
            return card[name]["rate"]
    return None


def choose(meter, cards, ordinary):
    """Kind, rate, rate at list price, for fresh input, and on demand."""
    for which, card in cards:
        if rate := live(meter, card):
            listed = next((r for (_, kind), c in cards if kind == "list" and (r := live(meter, c))), rate)
            fresh = live("input_tokens", card) if meter in CACHE else None
            instead = next((live(meter, c) for other, c in ordinary if other == which), None)
            return which[1], rate, listed, fresh, instead
    return None


def times(quantity, rate):
    price, per, least = rate
    return (max(quantity, least) * price / per).quantize(PICO)


def compare(request, charge, book):
    """What of a charge is not what it should be, if anything."""
    provider, model, tier = request["provider"], request["model"], request["tier"] or "on_demand"
    billed, choices = book.choice(provider, model, tier, since_1970(request["ts"]))
    expect = amounts(request, choices)
    expect["model_billed"], expect["request_id"] = billed, request["request_id"]
    wrong = [f"{name} is {charge[name]}, not {value}" for name, value in expect.items() if charge[name] != value]
    return "; ".join(wrong)


def amounts(request, choices):
    quantities = {meter: request[meter] for meter in METERS if request[meter] is not None}
    if request["gateway_cache"] or (quantities and not any(quantities.values())):
        return dict.fromkeys(AMOUNTS, ZERO) | {"basis": "free"}
    if not quantities:
        refused = request["status"] in ("error", "blocked")
        return dict.fromkeys(AMOUNTS, ZERO if refused else None) | {"basis": "free" if refused else "unpriced"}
    sums, basis = dict.fromkeys(AMOUNTS, ZERO), "contract"
    for meter, quantity in quantities.items():
        if quantity == 0:
            continue
        part = COLUMN.get(meter, "other_cost")
        if not choices[meter]:
            basis, sums[part] = "unpriced", None
            continue
        kind, rate, listed, fresh, instead = choices[meter]
        basis = max(basis, kind, key=CERTAINTY.get)
        cost = times(quantity, rate)
        sums[part] = None if sums[part] is None else sums[part] + cost
        sums["cost"] += cost
        sums["list_cost"] += times(quantity, listed)
        sums["cache_savings"] += times(quantity, fresh) - cost if fresh else ZERO
        sums["batch_savings"] += times(quantity, instead) - cost if instead else ZERO
    if basis == "unpriced":
        sums |= dict.fromkeys(AMOUNTS[len(PARTS) :])
    return sums | {"basis": basis}


if __name__ == "__main__":
    main()
