#!/usr/bin/env bash
# How long the edit loop takes: a comment is added to one file, each step is timed, the file is put
# back. Over 15 s, 30 s or 60 s for a week means that leaf modules become crates.
set -euo pipefail
cd "$(dirname "$0")/.."
file=src/features/tasks/rules.rs
[ -f "$file" ] || file=src/features/mod.rs
kept=$(mktemp)
cp "$file" "$kept"
trap 'cp "$kept" "$file"; rm -f "$kept"' EXIT

timed() { # timed NAME LIMIT COMMAND...
    local name=$1 limit=$2 began took
    shift 2
    "$@" >/dev/null 2>&1 # warm: what is measured is the edit alone
    cp "$kept" "$file"
    printf '\n// edited at %s\n' "$(date +%s%N)" >>"$file"
    began=$(date +%s%N)
    "$@" >/dev/null 2>&1
    took=$((($(date +%s%N) - began) / 100000000))
    printf '%-12s %4d.%d s   (limit %s s)\n' "$name" $((took / 10)) $((took % 10)) "$limit"
}

echo "after a one-line edit in $file:"
timed "check" 15 cargo check --locked
timed "build" 30 cargo build --locked
timed "test build" 60 cargo test --locked --no-run --lib --test it
