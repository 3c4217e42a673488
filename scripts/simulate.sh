#!/usr/bin/env bash
# Lets HQ_SIM_N stores live on a simulated disk, from the seed HQ_SIM_SEED on. Ends well only when the
# test has said so itself: a filter that matches no test is no success.
set -uo pipefail
cd "$(dirname "$0")/.."
log=${CARGO_TARGET_DIR:-target}/simulate.log
profile=()
if [ "${HQ_SIM_PROFILE:-dev}" != dev ]; then
    profile=(--profile "$HQ_SIM_PROFILE")
fi
cargo test --locked "${profile[@]}" --test it store::simulate:: -- --nocapture 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" -eq 0 ] && ! grep -q 'simulation: .*all as told' "$log"; then
    echo "simulate: the simulation did not run" >&2
    status=1
fi
exit "$status"
