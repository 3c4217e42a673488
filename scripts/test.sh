#!/usr/bin/env bash
# The one test command. Each step says how long it took; all suites run even when one fails. The sum of
# tests is left in <target>/test-summary for .ci/run, which asks for one pass over the code (HQ_TEST_ONE_PASS)
# and leaves the links of the documents to those who build twice.
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

sum_of() { # sum_of PATTERN: the sum of the numbers in what matches on standard input; nothing is 0
    grep -oE "$1" | grep -oE '[0-9]+' | awk '{ sum += $1 } END { print sum + 0 }'
}

count() { # count LOG LINES PASSED FAILED: adds up the closing lines of a runner
    local closing
    closing=$(grep -E "$2" "$1")
    passed=$((passed + $(sum_of "$3" <<<"$closing")))
    failed=$((failed + $(sum_of "$4" <<<"$closing")))
}

# Compiles each crate once and lints it on the way. Looking alone (`cargo clippy`, `cargo doc`) compiles all of it and
# of what it stands on once more: for a cold checkout that is as long as everything else.
linted_build() {
    local log="$target/test-build.log"
    cargo build --locked --workspace --all-targets 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] && ! grep -qE '^warning: .* generated [0-9]+ warning' "$log"
}

# Where there is room, the folders of the tests lie in memory: what a killed program has written is there as it is on a
# disk, and no test waits for the disk of the machine.
memory=/dev/shm
room=$(df --output=avail -BM "$memory" 2>/dev/null | tail -n 1 | tr -dc 0-9)
if [ -w "$memory" ] && [ "${room:-0}" -ge 8192 ]; then
    TMPDIR=$(mktemp -d "$memory/hq-tests.XXXXXX")
    export TMPDIR
    # Some programs are started as another user.
    chmod 755 "$TMPDIR"
    trap 'rm -rf "$TMPDIR"' EXIT
fi

rust_tests() {
    local log="$target/test-rust.log" status
    if cargo nextest --version >/dev/null 2>&1; then
        # One more than there are cores: many tests wait for a line, a browser or a child that is killed.
        cargo nextest run --locked --workspace --no-fail-fast --test-threads $(($(nproc) + 1)) 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
        count "$log" 'Summary \[' '[0-9]+ passed' '[0-9]+ (failed|timed out)'
    else
        cargo test --locked --workspace --no-fail-fast --lib --test it 2>&1 | tee "$log"
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

began=$SECONDS
step setup scripts/setup.sh run test
if [ ${#broken[@]} -gt 0 ]; then
    exit 1
fi
step assets make --no-print-directory assets
step format cargo fmt --all --check
if [ -n "${HQ_TEST_ONE_PASS:-}" ]; then
    export RUSTC_WORKSPACE_WRAPPER=clippy-driver
    step build linted_build
else
    step lints cargo clippy --locked --workspace --all-targets -- -D warnings
    step documents env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
fi
step rust rust_tests
step browser web_tests

printf '\n'
printf '%s\n' "${rows[@]}"
if [ -n "${HQ_TEST_ONE_PASS:-}" ]; then
    scripts/size.sh debug >"$target/size.txt" 2>&1 || true
    head -n 1 "$target/size.txt"
fi
printf 'tests: %d ran, %d of them failed; %d s in all\n' $((passed + failed)) "$failed" $((SECONDS - began))
echo "$passed passed, $failed failed" >"$summary"
if [ ${#broken[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${broken[*]}" >&2
    exit 1
fi
