#!/usr/bin/env bash
# Compiled functions and their bytes: of the whole program, by package, and by family (a function with its generic
# arguments left out). Argument: the profile, debug [default] or release; what it names must be built.
#
# Packages are counted in their libraries: legacy symbol names do not say which package made a copy. The linker drops
# some of them, so that the packages add up to more than the program.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-debug}
flag=--profile=$([ "$profile" = debug ] && echo dev || echo "$profile")
program=${CARGO_TARGET_DIR:-target}/$profile/hq
[ -f "$program" ] || { echo "size: no program at $program; build it first" >&2; exit 2; }

# The program is built together with the tests, whose features are those of the whole workspace.
workspace=$([ "$profile" = debug ] && echo "--workspace --all-targets" || echo "--bin hq")
# shellcheck disable=SC2086
libraries=$(cargo build --locked --offline $workspace "$flag" --message-format json 2>/dev/null |
    grep '"reason":"compiler-artifact"' | grep -v '"proc-macro"' | grep -oE '"/[^"]*\.rlib"' | tr -d '"' | sort -u)
ours=$(cargo metadata --locked --offline --no-deps --format-version 1 |
    grep -oE '"name":"[a-z0-9_-]+","version"' | cut -d'"' -f4 | tr '-' '_' | sort -u | tr '\n' ' ')

{
    nm -S --defined-only "$program" 2>/dev/null | sed 's/^/program /'
    for library in $libraries; do
        name=$(basename "$library"); name=${name#lib}; name=${name%.rlib}; name=${name%-*}
        nm -S --defined-only "$library" 2>/dev/null | sed "s/^/$name /"
    done
} | awk -v ours="$ours" -v profile="$profile" '
function hex(text,    n, i) { n = 0; for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1; return n }
function table(title, count, size, order, most,    name, command) {
    printf "\n%s\n%10s %9s\n", title, "functions", "MB"
    command = "sort -rn -k" order " | head -" most
    for (name in count) printf "%10d %9.2f  %s\n", count[name], size[name] / 1e6, name | command
    close(command)
}
BEGIN { split(ours, list, " "); for (i in list) own[list[i]] = 1 }
NF == 5 && $4 ~ /^[tTwW]$/ {
    bytes = hex($3)
    if ($1 == "program") { functions++; all += bytes; next }
    count[$1]++; size[$1] += bytes
    if (!($1 in own)) next
    own_functions++; own_all += bytes
    family = $5
    sub(/17h[0-9a-f]+E(\..*)?$/, "", family); sub(/^_ZN/, "", family)
    gsub(/\$LT\$/, "<", family); gsub(/\$GT\$/, ">", family); gsub(/\$u20\$/, " ", family); gsub(/\$u7b\$/, "{", family)
    gsub(/\$u7d\$/, "}", family); gsub(/\$RF\$/, "\\&", family); gsub(/\$C\$/, ",", family); gsub(/\$LP\$/, "(", family)
    gsub(/\$RP\$/, ")", family); gsub(/\.\./, "::", family); sub(/drop_in_place<.*/, "drop_in_place", family)
    copies[family]++; weight[family] += bytes
}
END {
    printf "%s program: %d functions, %.1f MB; packages of HQ: %d functions, %.1f MB\n", profile, functions, all / 1e6, own_functions, own_all / 1e6
    table("by package, dependencies included", count, size, 2, 30)
    table("most copies in packages of HQ", copies, weight, 1, 10)
    table("most bytes in packages of HQ", copies, weight, 2, 10)
}'
