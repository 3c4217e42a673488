#!/usr/bin/env bash
# Drives the real program with a real Chromium. Argument: test (stories and accessibility) or shots
# (screenshots into web-tests/out, those that the documents show into docs/shots).
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-test}
scripts/setup.sh run test
make --no-print-directory assets
# With the tests, so that what they have built is used and not built again with other features.
cargo build --locked --bin hq --test it
HQ_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/debug/hq")
export HQ_BIN
cd web-tests
exec npm run --silent "$what"
