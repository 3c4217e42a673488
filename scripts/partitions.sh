#!/usr/bin/env bash
# Parts home and a host HQ_PARTITIONS_N times. Ends well only when the test has said so itself: a filter that
# matches no test is no success.
set -uo pipefail
cd "$(dirname "$0")/.."
log=${CARGO_TARGET_DIR:-target}/partitions.log
# With `PROFILE=release` it is the program as it is shipped, and the test as usual.
profile=${HQ_PARTITIONS_PROFILE:-dev}
if [ "$profile" != dev ]; then
    cargo build --locked --profile "$profile" || exit 1
    HQ_CRASH_PROGRAM=$(realpath "${CARGO_TARGET_DIR:-target}/$profile/hq")
    export HQ_CRASH_PROGRAM
fi
cargo test --locked --test it partitions:: -- --nocapture --test-threads=1 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" -eq 0 ] && ! grep -q 'partitions: .*all as told' "$log"; then
    echo "partitions: the test did not run" >&2
    status=1
fi
exit "$status"
