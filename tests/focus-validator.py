#!/usr/bin/env python3
"""Runs the official focus-validator on the demo's FOCUS export, Parquet and CSV.

Use: python3 tests/focus-validator.py [PROGRAM]      (target/debug/spendbook)

Not a part of `cargo test`: it needs Python 3.12 or newer and a network, and
makes an environment of its own in a temporary directory. It fails where a rule
fails that is not listed below, and where a listed one no longer does.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import venv

# It asks for numpy 1, and for any version of the others: these are known to work
# together. Later releases of pyarrow are made for numpy 2.
PACKAGES = [
    "focus-validator==2.2.1",
    "numpy==1.26.4",
    "pandas==2.3.3",
    "polars==1.44.2",
    "pyarrow==21.0.0",
    "duckdb==1.5.6",
]

NOW = "2026-06-19T02:00:00Z"
MONTHS = ["2026-05", "2026-06"]

# Rules of its model 1.2.0.1, with all criteria.
RULES = 578
# Those of them that are known to fail.
KNOWN = {
    # Asks for an invoice, unconditionally; InvoiceId-C-004 asks for none.
    "InvoiceId-C-005-C",
    # Ask for a status where there is no commitment and no reservation.
    "CommitmentDiscountStatus-C-004-C",
    "CapacityReservationStatus-C-004-C",
    # Fail because those do.
    "CommitmentDiscountStatus-C-002-C",
    "CommitmentDiscountStatus-C-000-C",
    "CapacityReservationStatus-C-002-C",
    "CapacityReservationStatus-C-000-C",
    "CostAndUsage-D-002-M",
    "CostAndUsage-D-000-M",
}


def run(*command, cwd):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def validate(bin_dir, packages, file):
    # It reads its own tables relative to where it is installed.
    said = run(
        bin_dir / "focus-validator",
        *("--data-file", file, "--validate-version", "1.2", "--focus-dataset", "CostAndUsage"),
        *("--applicability-criteria", "ALL", "--block-download"),
        cwd=packages,
    )
    total = re.search(r"Total: (\d+) \| Pass: (\d+) \| Fail: (\d+)", said)
    if not total:
        sys.exit(f"{file}: no result in what it said:\n{said}")
    failed = set(re.findall(r"(\S+): FAIL ", said))
    print(f"{file.parent.name}/{file.name}: {total.group(0)}")
    if len(failed) != int(total.group(3)):
        sys.exit(f"{len(failed)} failed rules were read, of {total.group(3)}:\n{said}")
    if int(total.group(1)) != RULES:
        sys.exit(f"{total.group(1)} rules were looked at, of {RULES}")
    wrong = failed ^ KNOWN
    for rule in sorted(wrong):
        print(f"  {rule} {'fails' if rule in failed else 'passes, and is listed as known to fail'}")
    return not wrong


def main():
    if sys.version_info < (3, 12):
        sys.exit("focus-validator needs Python 3.12 or newer")
    root = pathlib.Path(__file__).resolve().parent.parent
    program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "target/debug/spendbook").resolve()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        venv.create(directory / "venv", with_pip=True)
        bin_dir = directory / "venv" / "bin"
        run(bin_dir / "pip", "install", "--quiet", *PACKAGES, cwd=directory)
        place = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = run(bin_dir / "python", "-c", place, cwd=directory).strip()
        run(program, "demo", directory / "demo", cwd=directory)
        good = True
        for month in MONTHS:
            run(program, "--now", NOW, "export", "focus", "--month", month, cwd=directory / "demo")
            for name in ["focus.parquet", "focus.csv"]:
                file = directory / "demo" / "focus" / f"billing_period={month}" / name
                good &= validate(bin_dir, packages, file)
    sys.exit(0 if good else 1)


main()
