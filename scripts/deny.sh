#!/usr/bin/env bash
# Licences, bans and sources. Building the checker takes minutes, so it is not part of `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    echo "deny: cargo-deny is missing; install it once with: cargo install cargo-deny --locked" >&2
    exit 1
fi
cargo deny --locked check --hide-inclusion-graph licenses bans sources
