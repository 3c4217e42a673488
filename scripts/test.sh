#!/usr/bin/env bash
# Runs all checks and tests. Every step runs even if another one fails; the table at the end has the seconds that each took.
# <target>/test-summary has the number of tests, for .ci/run.
set -uo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
passed=0 failed=0 broken=() rows=()
summary="$target/test-summary"
rm -f "$summary"

step() { # step NAME COMMAND...
    local name=$1 began=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then
        rows+=("$(printf 'ok      %-14s %4d s' "$name" $((SECONDS - began)))")
    else
        rows+=("$(printf 'FAILED  %-14s %4d s' "$name" $((SECONDS - began)))")
        broken+=("$name")
    fi
}

sum_of() { # sum_of PATTERN: adds the numbers in all matches on standard input; 0 without a match
    grep -oE "$1" | grep -oE '[0-9]+' | awk '{ sum += $1 } END { print sum + 0 }'
}

count() { # count LOG LINES PASSED FAILED: adds the numbers in a test runner's closing lines to the totals
    local closing
    closing=$(grep -E "$2" "$1")
    passed=$((passed + $(sum_of "$3" <<<"$closing")))
    failed=$((failed + $(sum_of "$4" <<<"$closing")))
}

# Compiles every package once and lints HQ's own at the same time (scripts/rustc.sh). A separate `cargo clippy` would check
# all dependencies a second time.
linted_build() {
    local log="$target/test-build.log"
    # Without clippy, scripts/rustc.sh uses rustc, which does not lint.
    cargo clippy --version >/dev/null || return 1
    cargo build --locked --workspace --all-targets 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || return 1
    # Cargo also repeats the warnings of packages that were up to date.
    if grep -qE 'generated [0-9]+ warning' "$log"; then
        echo 'build: there are warnings' >&2
        return 1
    fi
}

rust_tests() {
    local log="$target/test-rust.log" status
    if cargo nextest --version >/dev/null 2>&1; then
        # One more than there are cores, since many tests wait for a connection, a browser or a child process.
        cargo nextest run --locked --workspace --no-fail-fast --test-threads $(($(nproc) + 1)) 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
        count "$log" 'Summary \[' '[0-9]+ passed' '[0-9]+ (failed|timed out)'
    else
        cargo test --locked --workspace --no-fail-fast --tests 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
        count "$log" '^test result:' '[0-9]+ passed' '[0-9]+ failed'
    fi
    return "$status"
}

web_tests() {
    local log="$target/test-web.log" status
    scripts/web.sh test 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    count "$log" '^(#|ℹ) (pass|fail) ' ' pass [0-9]+' ' fail [0-9]+'
    return "$status"
}

# Temporary folders of tests are in memory if there is room, so that no test waits for the disk. What a killed program has
# written is still there, as it would be on a disk.
memory=/dev/shm
room=$(df --output=avail -BM "$memory" 2>/dev/null | tail -n 1 | tr -dc 0-9)
if [ -w "$memory" ] && [ "${room:-0}" -ge 8192 ]; then
    TMPDIR=$(mktemp -d "$memory/hq-tests.XXXXXX")
    export TMPDIR
    # Some tests start programs as another user.
    chmod 755 "$TMPDIR"
    trap 'rm -rf "$TMPDIR"' EXIT
fi

began=$SECONDS
step setup scripts/setup.sh run test
if [ ${#broken[@]} -gt 0 ]; then
    exit 1
fi
step assets make --no-print-directory assets
step format cargo fmt --all --check
step build linted_build
step documents scripts/doc-links.sh
step rust rust_tests
step browser web_tests

# Repeats the messages of failed tests, since readers of a long log see its end first.
failures() {
    [ ${#broken[@]} -gt 0 ] || return 0
    printf '\n== failures\n'
    grep -ahE -A 6 'panicked at ' "$target/test-rust.log" 2>/dev/null | head -n 80
    grep -ahE -A 12 '^ *✖ ' "$target/test-web.log" 2>/dev/null | head -n 60
}

failures
printf '\n'
printf '%s\n' "${rows[@]}"
printf 'tests: %d ran, %d of them failed; %d s in all\n' $((passed + failed)) "$failed" $((SECONDS - began))
echo "$passed passed, $failed failed" >"$summary"
if [ ${#broken[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${broken[*]}" >&2
    exit 1
fi
