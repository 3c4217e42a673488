#!/usr/bin/env bash
# Runs the long test of this name, `crash`, `channel_crash` or `partitions`; the second word is the profile of the program.
# Ends well only when the test has said so itself: a filter that matches no test is no success.
set -uo pipefail
cd "$(dirname "$0")/.."
name=${1:?crash, channel_crash or partitions}
log=${CARGO_TARGET_DIR:-target}/$name.log
# Thousands of times are quicker with `PROFILE=release`: the program as it is shipped, and the tests as usual.
profile=${2:-dev}
if [ "$profile" != dev ]; then
    cargo build --locked --profile "$profile" || exit 1
    HQ_CRASH_PROGRAM=$(realpath "${CARGO_TARGET_DIR:-target}/$profile/hq")
    export HQ_CRASH_PROGRAM
fi
cargo test --locked --test it "$name::" -- --nocapture --test-threads=1 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" -eq 0 ] && ! grep -q "^$name: .*all as told" "$log"; then
    echo "$name: the test did not run" >&2
    status=1
fi
exit "$status"
