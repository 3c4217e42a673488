#!/usr/bin/env bash
# Builds the program, and says each half minute how far it is: the first build takes minutes. Arguments: those of
# `cargo build`. What cargo itself says stays in <target>/build.log and is shown when it fails.
set -uo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
log=$target/build.log
every=${HQ_BUILD_SAYS_EVERY:-30}

# The libraries that this platform needs, each counted once.
all=$(cargo tree --locked --prefix none --edges normal,build --format '{p}' 2>/dev/null | sed 's/ (.*//' | sort -u | wc -l)

cargo build --locked "$@" >"$log" 2>&1 &
build=$!
began=$SECONDS
while kill -0 "$build" 2>/dev/null; do
    for _ in $(seq "$every"); do
        sleep 1
        kill -0 "$build" 2>/dev/null || break
    done
    kill -0 "$build" 2>/dev/null || break
    begun=$(grep -cE '^ +Compiling ' "$log")
    now=$(grep -E '^ +(Compiling|Downloading|Updating|Downloaded) ' "$log" | tail -n 1 | awk '{ print tolower($1), $2 }')
    if [ "$begun" -gt 0 ]; then
        printf 'build: %d:%02d, %d of %d packages begun (%s)\n' \
            $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$begun" "$all" "$now"
    else
        printf 'build: %d:%02d, %s\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "${now:-looking at what is there}"
    fi
done
wait "$build"
status=$?
if [ "$status" -ne 0 ]; then
    cat "$log" >&2
    exit "$status"
fi
grep -E '^warning: (hq|web)' "$log" >&2
if [ $((SECONDS - began)) -ge "$every" ]; then
    printf 'build: done in %d:%02d\n' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60))
fi
exit 0
