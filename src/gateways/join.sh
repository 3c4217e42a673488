#!/bin/sh
# Makes this machine a gateway of HQ: agents of @HOME@ can work here.
#
#   curl -fsSL @HOME@/join | sh -s -- --token TOKEN --fingerprint FINGERPRINT
#
# What it does, in this order, and nothing else:
#   1. looks whether this machine fits: Linux, @ARCH@, curl, sha256sum
#   2. fetches the program hq from @HOME@ with the token and checks its SHA-256
#   3. puts it to /usr/local/bin (as root) or ~/.local/bin
#   4. keeps the token in a file that only this user reads
#   5. starts `hq replica` as a service of the system (as root) or of this user, or in a container
# Run again, it changes what differs and keeps the key by which HQ knows this machine.
#
#   --labels a,b=c    what this machine has or is, such as gpu,region=eu
#   --container       run in a container of Docker or Podman
#   --data FOLDER     where the gateway keeps what it has
#   --dry-run         say what would be done, and do nothing

set -eu

home='@HOME@'
arch='@ARCH@'
image='debian:stable-slim'
name='hq-gateway'
token='' fingerprint='' labels='' data='' container='' dry=''

say() { printf '%s\n' "$*"; }
fail() { printf 'hq: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing; install it and run this again"; }
# Does something, or says what would be done.
run() {
  if [ -n "$dry" ]; then say "would run: $*"; else "$@"; fi
}

# All of it is read before any of it is done: a script that was cut off on its way does nothing.
join() {
while [ $# -gt 0 ]; do
  case "$1" in
    --token | --fingerprint | --labels | --data)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case "$1" in
        --token) token=$2 ;;
        --fingerprint) fingerprint=$2 ;;
        --labels) labels=$2 ;;
        --data) data=$2 ;;
      esac
      shift 2
      ;;
    --container) container=yes; shift ;;
    --dry-run) dry=yes; shift ;;
    *) fail "there is no option $1" ;;
  esac
done

# 1. Whether this machine fits.
[ -n "$token" ] || fail "the token is missing; copy the whole command from Settings, Gateways"
[ -n "$fingerprint" ] || fail "the fingerprint is missing; copy the whole command from Settings, Gateways"
case "$token$fingerprint$labels" in
  *[!A-Za-z0-9._,=:/+-]*) fail "the command was changed on its way; copy it once more" ;;
esac
case "$data" in
  *[!A-Za-z0-9._/+-]*) fail "a folder has letters, digits and . _ / + - here" ;;
esac
[ "$(uname -s)" = Linux ] || fail "agents' programs need the jail of Linux; this is $(uname -s)"
[ "$(uname -m)" = "$arch" ] || fail "this HQ has a program for $arch; this is $(uname -m). Join by hand with a program for it"
need curl
need sha256sum

if [ "$(id -u)" -eq 0 ]; then
  who=system bin=/usr/local/bin units=/etc/systemd/system
  data=${data:-/var/lib/hq-gateway}
else
  who=user bin=$HOME/.local/bin units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
  data=${data:-${XDG_DATA_HOME:-$HOME/.local/share}/hq-gateway}
fi

# 2. The program.
if [ -n "$dry" ]; then
  say "would fetch: $home/join/program, and check its SHA-256"
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # The token goes by standard input, so that no list of processes shows it.
  printf 'x-hq-join: %s\n' "$token" |
    curl -fsSL -H @- -D "$work/headers" -o "$work/hq" "$home/join/program" ||
    fail "the program was not given out: the token is over, was used up or withdrawn. Make a new command"
  wanted=$(tr -d '\r' <"$work/headers" | sed -n 's/^[Xx]-[Hh][Qq]-[Ss][Hh][Aa]256: *//p' | tail -n 1)
  found=$(sha256sum "$work/hq" | cut -d ' ' -f 1)
  [ -n "$wanted" ] && [ "$wanted" = "$found" ] || fail "the program arrived damaged; run this again"
  chmod 755 "$work/hq"
fi

# 3. Its place. Moved, not written over: one that runs goes on.
run mkdir -p "$bin"
if [ -n "$dry" ]; then
  say "would put the program to $bin/hq"
elif cmp -s "$work/hq" "$bin/hq"; then
  say "$bin/hq is up to date"
else
  cp "$work/hq" "$bin/.hq.new"
  mv -f "$bin/.hq.new" "$bin/hq"
  say "put the program to $bin/hq"
fi

# 4. The token.
run mkdir -p "$data"
run chmod 700 "$data"
if [ -n "$dry" ]; then
  say "would keep the token in $data/join.token, for this user alone"
else
  (umask 077 && printf '%s\n' "$token" >"$data/join.token")
fi

set -- replica --join "$home" --fingerprint "$fingerprint" --token-file "$data/join.token" --data "$data"
[ -z "$labels" ] || set -- "$@" --labels "$labels"

# 5. The service.
if [ -n "$container" ]; then
  engine=$(command -v docker || command -v podman || true)
  [ -n "$engine" ] || fail "there is neither docker nor podman; run this without --container"
  if [ -z "$dry" ]; then "$engine" rm -f "$name" >/dev/null 2>&1 || true; fi
  run "$engine" run -d --name "$name" --restart unless-stopped --stop-timeout 60 \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    -v "$bin/hq:/usr/local/bin/hq:ro" -v "$data:$data" -v /etc/ssl/certs:/etc/ssl/certs:ro \
    "$image" hq "$@"
elif command -v systemctl >/dev/null 2>&1; then
  unit="[Unit]
Description=Gateway of $home
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=$bin/hq $*
Delegate=yes
Restart=always
RestartSec=5
RestartPreventExitStatus=1
TimeoutStopSec=60

[Install]
WantedBy=$([ "$who" = system ] && echo multi-user.target || echo default.target)
"
  if [ -n "$dry" ]; then
    say "would write $units/$name.service:"
    say "$unit"
  else
    mkdir -p "$units"
    printf '%s' "$unit" >"$units/$name.service"
  fi
  if [ "$who" = system ]; then
    run systemctl daemon-reload
    run systemctl enable "$name.service"
    run systemctl restart "$name.service"
  else
    run systemctl --user daemon-reload
    run systemctl --user enable "$name.service"
    run systemctl --user restart "$name.service"
    say "It ends when you sign out, unless an administrator says: loginctl enable-linger $(id -un)"
  fi
else
  say "There is no systemd here. Start this by whatever starts services:"
  say "  $bin/hq $*"
  exit 0
fi
[ -n "$dry" ] || say "Done. Settings, Gateways in HQ shows how far it is."
}

join "$@"
