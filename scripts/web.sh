#!/usr/bin/env bash
# Drives the real program with a real Chromium. Argument: test (stories and accessibility), shots
# (screenshots into web-tests/out, those that the documents show into docs/shots) or trace (what a person
# waits for in a large company, with the program as it is shipped).
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-test}
scripts/setup.sh run test
make --no-print-directory assets
if [ "$what" = trace ]; then
  cargo build --release --locked --bin hq
  HQ_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/release/hq")
else
  cargo build --locked --bin hq
  HQ_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/debug/hq")
fi
export HQ_BIN
cd web-tests
exec npm run --silent "$what"
