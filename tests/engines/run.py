#!/usr/bin/env python3
"""Opens the demo's book with DuckDB and pyarrow, as analysts do.

    tests/engines/run.py [--binary target/debug/spendbook] [--only NAME] [--update]

Checks that the tables have the types and descriptions that are written down
(`tables`), that every question of docs/ANALYSTS.md is answered as it says
(`questions`), that commands (`agreement`), mails (`mails`), the page, exports and
the journal (`exports`) tell the amounts of the Parquet to the last digit, and that
readers find whole days while a run replaces the files (`rewriting`). Needs
Python 3.9 or later and, for the first time, a package index: the libraries are
put into a virtual environment of their own, which is kept in a cache and made
again when requirements.txt changes.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REQUIREMENTS = HERE / "requirements.txt"


def environment() -> Path:
    """The Python of an environment that has what requirements.txt names."""
    cache = Path(os.environ.get("SPENDBOOK_CACHE") or Path.home() / ".cache" / "spendbook")
    text = REQUIREMENTS.read_bytes() + sys.version.encode()
    directory = cache / f"engines-{hashlib.sha256(text).hexdigest()[:12]}"
    python = directory / "bin" / "python"
    done = directory / "complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(directory)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        installed = subprocess.run([*install, "-r", str(REQUIREMENTS)], check=False)
        if installed.returncode != 0:
            sys.exit(f"error: pip cannot install {REQUIREMENTS}: is a package index within reach?")
        done.touch()
    return python


def main() -> None:
    if os.environ.get("SPENDBOOK_ENGINES") != "1":
        python = str(environment())
        os.environ["SPENDBOOK_ENGINES"] = "1"
        os.execv(python, [python, str(Path(__file__).resolve()), *sys.argv[1:]])

    # The page's test writes amounts for people in its own way, too.
    sys.path.append(str(ROOT / "tests" / "page"))
    import agreement
    import exports
    import mails
    import questions
    import rewriting
    import tables
    from workspace import Workspace

    checks = {"tables": tables, "questions": questions, "agreement": agreement, "mails": mails, "exports": exports, "rewriting": rewriting}
    parser = argparse.ArgumentParser(description="Opens the demo's book with DuckDB and pyarrow.")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    parser.add_argument("--binary", type=Path, default=target / "debug" / "spendbook")
    parser.add_argument("--only", choices=list(checks), help="only this check")
    parser.add_argument("--update", action="store_true", help="write the answers in docs/ANALYSTS.md anew")
    arguments = parser.parse_args()
    if not arguments.binary.exists():
        sys.exit(f"error: there is no {arguments.binary}: run `cargo build`, or name it with --binary")
    with tempfile.TemporaryDirectory(prefix="spendbook-engines-") as directory:
        workspace = Workspace(arguments.binary.resolve(), Path(directory))
        for name, check in checks.items():
            if arguments.only in (None, name):
                started = time.monotonic()
                said = check.check(workspace, ROOT, arguments.update)
                print(f"{name}: {said} ({time.monotonic() - started:.1f} s)")


if __name__ == "__main__":
    main()
