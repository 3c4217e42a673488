#!/bin/sh
# Cargo calls this for each of HQ's own packages (.cargo/config.toml). Builds with the profile `dev` are compiled by clippy,
# which lints at the same time: linting needs no second pass, and `make run`, `make test` and `cargo build` share what they
# build. `cargo check` and the other profiles use rustc itself, since clippy turns some optimisations off.
clippy=${1%rustc}clippy-driver
case "$*" in
*--emit=*link*/debug/deps*)
    if command -v "$clippy" >/dev/null; then
        exec "$clippy" "$@"
    fi
    ;;
esac
exec "$@"
