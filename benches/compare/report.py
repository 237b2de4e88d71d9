"""What was measured, as tables for README.md and as a plot.

    python report.py RESULTS.json DIR      writes DIR/results.md and DIR/compare.svg
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "spendbook", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402 (the backend is chosen first)

from measure import Figures, median, ratios  # noqa: E402

COLOURS = {"spendbook": "#0b6e4f", "profiled": "#3fae82", "duckdb": "#e3a008", "clickhouse": "#b4552d", "polars": "#2f6db5", "limit": "#777777"}
NAMES = {"spendbook": "spendbook", "profiled": "profiled", "duckdb": "DuckDB", "clickhouse": "ClickHouse", "polars": "Polars", "limit": "the limit"}
CURVES = {
    "rows": "lines of log",
    "days": "days that a million lines lie in",
    "teams": "teams in config and logs",
    "price rows": "rows of the price book",
    "files": "files that a million lines lie in",
}


def main(results, directory):
    found = json.loads(Path(results).read_text())
    Path(directory, "results.md").write_text("\n".join(tables(found)) + "\n", encoding="utf-8")
    plot(found, Path(directory, "compare.svg"))
    print(f"{directory}/results.md and compare.svg")


def tables(found):
    machine = found["machine"]
    yield "# Results\n\nWritten by `benches/compare/run.py` ([what it does and compares](README.md)).\n"
    binaries = ", ".join(f"{name} `{digest}`" for name, digest in zip(["binary", "profiled"], machine["binaries"]))
    yield f"{machine['date']}, {machine['processor']}, commit `{machine['commit']}`, {binaries}.\n\n![the night and how it grows](compare.svg)"
    for part in ["night", "kept", "ingest", "price", "limit"]:
        if part in found:
            yield from against(part, found[part])
    for name, what in CURVES.items():
        if f"curve: {name}" in found:
            yield from curve(what, found[f"curve: {name}"])
    if "curve: age" in found:
        yield from ages(found["curve: age"])


def against(part, it):
    rounds = it["rounds"]
    bases = ["limit"] if part == "limit" else [name for name in ["spendbook", "profiled"] if name in rounds[0]]
    yield f"\n**{part}**, {it['lines']:,} lines, commit `{it['commit']}`, medians of {len(rounds)} rounds; how many times the wall time, round by round:\n"
    yield "| | wall | CPU | peak |" + "".join(f" times {NAMES[base]} |" for base in bases) + "\n| --- | --- | --- | --- |" + " --- |" * len(bases)
    for name in rounds[0]:
        times = (f" {times_as_long(rounds, base, name)} |" for base in bases)
        yield f"| {NAMES[name]} | {cells(median(one[name] for one in rounds))} |{''.join(times)}"


def times_as_long(rounds, base, name):
    if name == base:
        return ""
    middle, least, most = ratios(rounds, base, name)
    return f"{middle:.2f} ({least:.2f} to {most:.2f})"


def curve(what, points):
    names = [name for name in points[0] if name != "at"]
    yield f"\n| {what} | " + " | ".join(f"{NAMES[name]}: wall | CPU | peak" for name in names) + " |"
    yield "| --- |" + " --- | --- | --- |" * len(names)
    for point in points:
        values = (cells(point[name]) if name in point else "| |" for name in names)
        yield f"| {point['at']:,} | " + " | ".join(values) + " |"


def ages(points):
    names = [name for name in points[0] if name != "at"]
    yield "\n| days in the book, 20,000 lines each | " + " | ".join(names) + " |\n| --- |" + " --- |" * len(names)
    for point in points:
        yield f"| {point['at']} | " + " | ".join(f"{point[n]['wall']:.2f} s, {point[n]['peak']:,.0f} MiB" for n in names) + " |"


def cells(figures):
    return f"{figures['wall']:,.2f} s | {figures['cpu']:,.2f} s | {figures['peak']:,.0f} MiB"


def plot(found, path):
    """A panel for each of what was measured."""
    panels = []
    if "night" in found:
        panels.append(lambda axis: bars(axis, found["night"], "wall", "the night: wall time, s"))
        panels.append(lambda axis: bars(axis, found["night"], "peak", "the night: peak memory, MiB"))
    for name, what in CURVES.items():
        if points := found.get(f"curve: {name}"):
            panels.append(lambda axis, points=points, what=what: lines(axis, points, what))
    if points := found.get("curve: age"):
        panels.append(lambda axis: old_book(axis, points))
    across = min(max(len(panels), 1), 4)
    down = max(-(-len(panels) // across), 1)
    figure, axes = plt.subplots(down, across, figsize=(4 * across, 3.2 * down), layout="constrained", squeeze=False)
    for axis, panel in zip(axes.flat, panels):
        panel(axis)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    machine = found["machine"]
    figure.suptitle(f"Nights of spendbook, {machine['date']}, {machine['processor']}, {machine['commit']}", fontsize=9)
    figure.savefig(path, metadata={"Date": None})


def bars(axis, night, which, title):
    middle = {name: Figures(median(one[name] for one in night["rounds"])) for name in night["rounds"][0]}
    drawn = axis.bar([NAMES[name] for name in middle], [it[which] for it in middle.values()], color=[COLOURS[n] for n in middle])
    axis.bar_label(drawn, fmt="{:,.1f}" if which == "wall" else "{:,.0f}")
    axis.set_title(f"{title} ({night['lines'] / 1e6:g} M lines)", fontsize=9)
    axis.tick_params(axis="x", labelrotation=20)
    axis.margins(y=0.1)  # room for the labels


def lines(axis, points, what):
    """Wall time of each engine, and what memory spendbook took."""
    axis.set_title(f"{what}:\nwall time, s; dashed: peak, MiB", fontsize=9)
    for name in points[0]:
        if name != "at":
            there = [point for point in points if name in point]
            axis.plot([p["at"] for p in there], [p[name]["wall"] for p in there], marker="o", color=COLOURS[name], label=NAMES[name])
    memory = axis.twinx()
    memory.plot([p["at"] for p in points], [p["spendbook"]["peak"] for p in points], "--", color="#999999")
    memory.set_ylim(bottom=0)
    memory.tick_params(axis="y", colors="#777777")
    axis.set_xscale("log")
    if what == CURVES["rows"]:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    if len(points[0]) > 2:
        axis.legend(fontsize=7)


def old_book(axis, points):
    axis.set_title("days in the book: wall time of a night, s", fontsize=9)
    for name, colour in [("nothing new", "#999999"), ("one day more", COLOURS["spendbook"])]:
        axis.plot([point["at"] for point in points], [point[name]["wall"] for point in points], marker="o", color=colour, label=name)
    axis.legend(fontsize=7)
    axis.set_ylim(bottom=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
