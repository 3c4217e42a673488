#!/usr/bin/env bash
# Installs what is missing, and only that. Arguments: run (to build and start HQ) and test (also
# what the tests need). Says nothing and takes no time when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

packages=()
need() { # need COMMAND PACKAGE...: the Debian packages that bring a command
    command -v "$1" >/dev/null 2>&1 || packages+=("${@:2}")
}

for part in "${@:-run}"; do
    case $part in
    run)
        need cc gcc libc6-dev
        need node nodejs
        need npm npm
        ;;
    test)
        need git git
        # The same browser without windows of its own: lighter, and all that the stories need.
        command -v chromium >/dev/null 2>&1 || need chromium-headless-shell chromium-headless-shell
        # The one that agents drive; the file that the package's script starts.
        [ -x /usr/lib/chromium/chromium ] || packages+=(chromium)
        # The proxy before a home that other machines link to; its folder is in few people's path.
        [ -x /usr/sbin/nginx ] || packages+=(nginx)
        need dash dash
        need python3 python3
        need fc-list fontconfig
        [ -d /usr/share/fonts/truetype/dejavu ] || packages+=(fonts-dejavu-core)
        ls /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf >/dev/null 2>&1 ||
            packages+=(fonts-noto-color-emoji)
        # The face of the screenshots; a system without it shows its own.
        [ -d /usr/share/fonts/opentype/inter ] || packages+=(fonts-inter)
        python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || packages+=(python3-venv)
        ;;
    *)
        echo "setup: unknown part '$part' (run, test)" >&2
        exit 2
        ;;
    esac
done

if [ ${#packages[@]} -gt 0 ]; then
    install="apt-get install -y --no-install-recommends ${packages[*]}"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: please install these first: ${packages[*]}" >&2
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=()
    elif sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        echo "setup: some packages are missing. Please run this once, then try again:" >&2
        echo "  sudo sh -c 'apt-get update && $install'" >&2
        exit 1
    fi
    echo "setup: installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install
    if [[ " ${packages[*]} " == *" nginx "* ]]; then
        # The tests start it themselves, and nobody has asked for a web server on this machine.
        "${as_root[@]}" systemctl disable --now nginx >/dev/null 2>&1 || true
        "${as_root[@]}" service nginx stop >/dev/null 2>&1 || true
    fi
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: Rust is missing. Install it with rustup (https://www.rust-lang.org/tools/install)" >&2
    echo "setup: for your own user, open a new shell and try again." >&2
    exit 1
fi
# rustup fetches the version that is wanted; another Rust stops later, with words that do not help.
wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! command -v rustup >/dev/null 2>&1; then
    found=$(cargo --version | cut -d' ' -f2)
    if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
        echo "setup: this is Rust $found, HQ needs $wanted. Install it with rustup" >&2
        echo "setup: (https://www.rust-lang.org/tools/install), open a new shell and try again." >&2
        exit 1
    fi
fi
if command -v node >/dev/null 2>&1 &&
    [ "$(node -p 'process.versions.node.split(".")[0] >= 18')" != true ]; then
    echo "setup: this is Node $(node --version), HQ needs 18 or later to bundle its styles." >&2
    exit 1
fi

case " $* " in
*" test "*)
    if [ -f web-tests/package-lock.json ] &&
        [ web-tests/package-lock.json -nt web-tests/node_modules/.package-lock.json ]; then
        (cd web-tests && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
        touch web-tests/node_modules/.package-lock.json
    fi
    # Clients that prove the OpenAI-compatible API and the stand-ins of messengers, and a Matrix server for the bridge; nothing
    # of HQ runs on Python.
    if [ tests/requirements.txt -nt "$target/venv/.made" ]; then
        python3 -m venv "$target/venv"
        "$target/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/requirements.txt
        touch "$target/venv/.made"
    fi
    ;;
esac
