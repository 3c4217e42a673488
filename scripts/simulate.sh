#!/usr/bin/env bash
# Lets HQ_SIM_N stores live on a simulated disk, as many hosts talk to their homes over lines that do everything wrong, and
# as many spend what their runs were granted while the line is cut, from the seed HQ_SIM_SEED on. Ends well only when all
# three tests have said so themselves: a filter that matches no test is no success.
set -uo pipefail
cd "$(dirname "$0")/.."
log=${CARGO_TARGET_DIR:-target}/simulate.log
profile=()
if [ "${HQ_SIM_PROFILE:-dev}" != dev ]; then
    profile=(--profile "$HQ_SIM_PROFILE")
fi
# The same packages as all tests, so that nothing is built a second time.
cargo test --locked "${profile[@]}" --workspace --lib --test it simulate -- --nocapture 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
for what in 'simulation' 'simulation of links' 'simulation of grants'; do
    if [ "$status" -eq 0 ] && ! grep -q "$what: .*all as told" "$log"; then
        echo "simulate: there was no $what" >&2
        status=1
    fi
done
exit "$status"
