#!/usr/bin/env bash
# Switches off one check of the program after the other and runs the test that must notice. Argument: a
# list as in tests/mutations: what is checked, file, sed expression, test, separated by tabs. Each takes
# a build of its own. Ends well only when every test has failed.
set -uo pipefail
cd "$(dirname "$0")/.."
list=${1:-tests/mutations/undo.tsv}
if [ -n "$(git status --porcelain src)" ]; then
    echo "mutate: there are changes in src; commit them first" >&2
    exit 1
fi
log=$(mktemp)
trap 'git checkout --quiet src; rm -f "$log"' EXIT
killed=0 bad=0
while IFS=$'\t' read -r name file expression filter <&3; do
    sed -i "$expression" "$file"
    if git diff --quiet src; then
        verdict="does not apply"
    elif ! cargo nextest run --locked --workspace --no-run >"$log" 2>&1; then
        verdict="does not compile"
    elif cargo nextest run --locked --workspace -E "test($filter)" >"$log" 2>&1; then
        verdict="SURVIVED"
    else
        verdict="killed"
    fi
    printf '%-16s %s (%s)\n' "$verdict" "$name" "$filter"
    if [ "$verdict" = killed ]; then killed=$((killed + 1)); else bad=$((bad + 1)); fi
    git checkout --quiet src
done 3<"$list"
echo "mutate: $killed killed, $bad not"
[ "$bad" -eq 0 ]
