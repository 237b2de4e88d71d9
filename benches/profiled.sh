#!/usr/bin/env bash
# A release that is compiled by what it does: the same program, which takes a
# tenth less time for a night (benches/README.md).
#
#     benches/profiled.sh        # in place of `cargo build --release`
#
# Builds a release that counts which ways its code goes, has it keep the books of
# half a million lines and of all formats, and builds it again by these counts.
# Only this package is compiled a second and a third time, three minutes each on
# two cores. Needs `llvm-profdata` of LLVM 19 or later: from `rustup component add
# llvm-tools`, or from Debian's package `llvm-19`.
set -euo pipefail

# Cargo calls this script in the place of the compiler, for this package alone:
# the libraries are those of any other release.
if [ -n "${PROFILE_FLAG:-}" ]; then
    exec "$@" "$PROFILE_FLAG"
fi

cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
counts="$target/profiled/counts"
training="$target/profiled/training"
spendbook="$target/release/spendbook"

merger() {
    for tool in "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata llvm-profdata-{22,21,20,19} llvm-profdata; do
        version="$("$tool" --version 2>/dev/null | sed -n 's/.*LLVM version \([0-9]*\).*/\1/p')"
        [ "${version:-0}" -ge 19 ] && echo "$tool" && return
    done
    echo 'error: `llvm-profdata` of LLVM 19 or later is not here: `rustup component add llvm-tools`, or Debian: apt-get install llvm-19' >&2
    exit 1
}

build() {
    touch src/lib.rs src/main.rs
    PROFILE_FLAG="$1" RUSTC_WORKSPACE_WRAPPER="$PWD/benches/profiled.sh" cargo build --release --locked --bin spendbook
}

# What a gateway writes in a day, and what the tests know of every format, often
# enough that none is taken for code that is never used.
prepare() {
    mkdir -p "$training/logs"
    cp -r pricing "$training"
    rustc --edition 2024 -O benches/workload.rs -o "$training/workload"
    "$training/workload" --out "$training/logs" --lines 500000 --days 2 --teams 12 --seed 7
    {
        for team in search chatbot support billing research docs risk growth mobile catalog security analytics; do
            printf '[teams.%s]\nmonthly_budget_usd = "20"\n' "$team"
        done
        printf '[[source]]\nname = "gateway"\nformat = "native"\npath = "logs/gateway-*"\nprovider = "groq"\n'
    } > "$training/spendbook.toml"
    for fixture in tests/fixtures/*/full.*; do
        format="$(basename "$(dirname "$fixture")")"
        name="$format-${fixture##*.}"
        mkdir "$training/logs/$name"
        for copy in $(seq 100); do cp "$fixture" "$training/logs/$name/$copy.${fixture##*.}"; done
        {
            printf '\n[[source]]\nname = "%s"\nformat = "%s"\npath = "logs/%s/*"\n' "$name" "$format" "$name"
            cat "$(dirname "$fixture")/source.toml"
        } >> "$training/spendbook.toml"
    done
}

merger="$(merger)"
rm -rf "$target/profiled"
# Nobody should use the program that counts: it takes four times as long.
trap 'rm -f "$spendbook"' EXIT
build "-Cprofile-generate=$counts"
prepare
"$spendbook" --config "$training/spendbook.toml" --now 2026-06-03T04:00:00Z --quiet run
"$merger" merge -o "$target/profiled/night.profdata" "$counts"/*.profraw
build "-Cprofile-use=$target/profiled/night.profdata"
trap - EXIT
rm -rf "$training" "$counts"
echo "$spendbook: compiled by what a night does"
