#!/usr/bin/env bash
# Kills the program HQ_CRASH_N times. Ends well only when the test has said so itself: a filter that
# matches no test is no success.
set -uo pipefail
cd "$(dirname "$0")/.."
log=${CARGO_TARGET_DIR:-target}/crash.log
# Thousands of kills are quicker with `PROFILE=release`: the program as it is shipped, and the tests as usual.
profile=${HQ_CRASH_PROFILE:-dev}
if [ "$profile" != dev ]; then
    cargo build --locked --profile "$profile" || exit 1
    HQ_CRASH_PROGRAM=$(realpath "${CARGO_TARGET_DIR:-target}/$profile/hq")
    export HQ_CRASH_PROGRAM
fi
cargo test --locked --test it crash:: -- --nocapture --test-threads=1 2>&1 |
    tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" -eq 0 ] && ! grep -q 'crash: .*all as told' "$log"; then
    echo "crash: the crash test did not run" >&2
    status=1
fi
exit "$status"
