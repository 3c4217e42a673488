#!/usr/bin/env bash
# Writes into the folder $1 what Cargo needs to build all that HQ stands on, and nothing of HQ: manifests, lock file,
# and empty sources in the place of ours. The image keeps that build as a layer, as long as none of it changes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
find . \( -path ./target -o -path ./node_modules -o -path ./data \) -prune -o -name Cargo.toml -print | while read -r manifest; do
    folder=$out/$(dirname "$manifest")
    mkdir -p "$folder"
    cp "$manifest" "$folder/"
    # The library of a member, and the programs of the one package that has some.
    if grep -q '^path = "lib.rs"' "$manifest"; then : >"$folder/lib.rs"; fi
    sed -n 's/^path = "\(.*main\.rs\|benches\/.*\)"$/\1/p' "$manifest" | while read -r program; do
        mkdir -p "$(dirname "$folder/$program")"
        echo 'fn main() {}' >"$folder/$program"
    done
done
cp Cargo.lock rust-toolchain.toml "$out/"
mkdir -p "$out/scripts"
for script in link bundle; do echo 'fn main() {}' >"$out/scripts/$script.rs"; done
