#!/usr/bin/env bash
# Writes the documents of HQ's packages to <target>/doc and fails on a broken link. `cargo doc` would check all dependencies
# for this once more. `cargo test --doc` passes the libraries that are already built to rustdoc, so it is called with this
# script as rustdoc: each call is noted, with `--test` left out, and carried out at the end. HQ has no doc tests.
set -euo pipefail
if [ -n "${HQ_DOC_CALLS:-}" ]; then
    call=() test='' crate=''
    while [ $# -gt 0 ]; do
        case "$1 ${2:-}" in
        "--test "*) test=yes ;;
        "--test-run-directory "*) shift ;;
        # A doc test uses the library itself. In its documents that name would be ambiguous.
        "--extern $crate="*) shift ;;
        "--crate-name "*)
            crate=$2
            call+=("$1" "$2")
            shift
            ;;
        *) call+=("$1") ;;
        esac
        shift
    done
    if [ -z "$test" ]; then # cargo asks for the version
        exec rustdoc "${call[@]}"
    fi
    {
        export -p
        printf 'exec rustdoc -D warnings --out-dir %q' "$HQ_DOC_DIR"
        printf ' %q' "${call[@]}"
    } >"$HQ_DOC_CALLS/$CARGO_PKG_NAME"
    exit
fi

cd "$(dirname "$0")/.."
if grep -rl --include=Cargo.toml '^doctest = false' src tests; then
    echo "doc-links: cargo passes no libraries for these packages; remove \`doctest = false\`" >&2
    exit 1
fi
target=${CARGO_TARGET_DIR:-target}
calls=$(mktemp -d)
trap 'rm -rf "$calls"' EXIT
HQ_DOC_CALLS=$calls HQ_DOC_DIR=$(realpath "$target")/doc RUSTDOC=$PWD/scripts/doc-links.sh \
    cargo test --locked --workspace --doc --quiet
find "$calls" -type f -print0 | xargs -0 -n 1 -P "$(nproc)" bash
