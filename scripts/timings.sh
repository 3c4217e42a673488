#!/usr/bin/env bash
# How long the edit loop takes: a comment is added to one file, one step is timed, the file is put back. Fails when a
# row is more than a fifth over its limit. ARCHITECTURE.md keeps the numbers.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=$(mktemp)
file=
put_back() { [ -z "$file" ] || cp -p "$kept" "$file"; }
trap 'put_back; rm -f "$kept"' EXIT
over=0

timed() { # timed NAME FILE LIMIT COMMAND...
    local name=$1 limit=$3 began took
    file=$2
    shift 3
    cp -p "$file" "$kept"
    "$@" >/dev/null 2>&1 # warm: what is measured is the edit alone
    printf '\n// edited at %s\n' "$(date +%s%N)" >>"$file"
    began=$(date +%s%N)
    "$@" >/dev/null 2>&1
    took=$((($(date +%s%N) - began) / 100000000))
    put_back
    file=
    printf '%-34s %4d.%d s   (limit %s s)\n' "$name" $((took / 10)) $((took % 10)) "$limit"
    [ $((took * 10)) -le $((limit * 120)) ] || over=1
}

check=(cargo check --locked --workspace)
echo "after a one-line edit:"
timed "check, a leaf (store)" src/store/tx.rs 25 "${check[@]}"
timed "check, features" src/features/tasks/rules.rs 18 "${check[@]}"
timed "check, a door (work)" src/doors/work/tasks/pages/list.rs 10 "${check[@]}"
timed "check, runtime" src/runtime/turn.rs 10 "${check[@]}"
timed "check, a new noun" tests/sample/lib.rs 10 "${check[@]}"
timed "check, server" src/server/router.rs 10 "${check[@]}"
timed "build, a door (work)" src/doors/work/tasks/pages/list.rs 25 cargo build --locked --bin hq
timed "tests of a leaf (providers), built" src/providers/wire.rs 30 cargo test --locked -p providers --no-run
timed "tests of a noun, built" tests/sample/lib.rs 30 cargo test --locked -p sample --no-run
timed "tests of everything, built" src/features/tasks/rules.rs 120 cargo test --locked --no-run --test it
exit "$over"
