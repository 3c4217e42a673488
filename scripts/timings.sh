#!/usr/bin/env bash
# How long the edit loop takes: a comment is added to one file, one step is timed, the file is put back. Prints a table
# as docs/performance.md keeps it. Fails when a row is more than a fifth over its limit.
set -euo pipefail
cd "$(dirname "$0")/.."
mark='// edited at '
kept=$(mktemp)
said=$(mktemp)
file= child= over=()
put_back() {
    [ -z "$file" ] || cp -p "$kept" "$file"
    file=
}
ends() { # also when it is told to end: what runs goes first, the file is put back last
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    put_back
    rm -f "$kept" "$said"
}
trap ends EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

quietly() { # quietly COMMAND...: what it says is shown only when it fails. Beside this shell, which hears signals then.
    "$@" >"$said" 2>&1 &
    child=$!
    if ! wait "$child"; then
        child=
        cat "$said" >&2
        exit 1
    fi
    child=
}

timed() { # timed STEP WHERE FILE LIMIT COMMAND...
    local step=$1 where=$2 edited=$3 limit=$4 began took
    shift 4
    # Left by one that was killed and could put nothing back.
    if tail -n 1 "$edited" | grep -q "^$mark[0-9]*\$"; then
        sed -i '$d' "$edited"
        sed -i '${/^$/d}' "$edited"
    fi
    cp -p "$edited" "$kept"
    file=$edited
    quietly "$@" # warm: what is measured is the edit alone
    printf '\n%s%s\n' "$mark" "$(date +%s%N)" >>"$file"
    began=$(date +%s%N)
    quietly "$@"
    took=$((($(date +%s%N) - began) / 100000000))
    put_back
    printf '| %s | %s | %d.%d s | %s s |\n' "$step" "$where" $((took / 10)) $((took % 10)) "$limit"
    [ $((took * 10)) -le $((limit * 120)) ] || over+=("$step, $where")
}

check=(cargo check --locked --workspace)
tests=(cargo test --locked --no-run)
printf '| After a one-line edit | in | takes | limit |\n|---|---|---|---|\n'
timed 'check of everything' 'a leaf (`store`)' src/store/tx.rs 25 "${check[@]}"
timed 'check of everything' '`features`' src/features/tasks/rules.rs 18 "${check[@]}"
timed 'check of everything' 'an interface (`work`)' src/interfaces/work/tasks/pages/list.rs 10 "${check[@]}"
timed 'check of everything' '`runtime`' src/runtime/turn.rs 10 "${check[@]}"
timed 'check of everything' '`server`' src/server/router.rs 10 "${check[@]}"
timed 'check of everything' 'a new noun' tests/sample/lib.rs 10 "${check[@]}"
timed 'build of `hq`' 'an interface (`work`)' src/interfaces/work/tasks/pages/list.rs 25 \
    cargo build --locked --bin hq
timed 'build of its tests' 'a leaf (`providers`)' src/providers/wire.rs 30 "${tests[@]}" -p providers
timed 'build of its tests' 'a new noun' tests/sample/lib.rs 30 "${tests[@]}" -p sample
timed 'build of `tests/it`' '`features`' src/features/tasks/rules.rs 120 "${tests[@]}" --test it
if [ ${#over[@]} -gt 0 ]; then
    printf 'over its limit: %s\n' "${over[@]}" >&2
    exit 1
fi
