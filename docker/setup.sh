#!/bin/bash
# Makes a checkout ready: npm's packages and the Debian programs that a script of package.json needs.
#
#   bash docker/setup.sh demo       for `npm run demo`: redis-server
#   bash docker/setup.sh test       for `npm test`: also Postfix and what else the tests drive
#   bash docker/setup.sh packages NAME…   as root, called by the two above: apt-get, starting no service
#
# When all is there it does nothing, in some milliseconds: `npm run demo` calls it every time. It never
# runs the `node` that the calling shell starts afterwards: a shell remembers where it found a command,
# and before `npm ci` it would find the system's Node instead of the one in node_modules/.bin.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
project=$PWD
stamp=node_modules/.panoramix-setup

# What is looked for (a program, or a file) and the Debian package that brings it.
demo_needs=(flock:util-linux redis-server:redis-server)
test_needs=(
  "${demo_needs[@]}"
  postfix:postfix
  /usr/lib/postfix/postfix-pcre.so:postfix-pcre
  swaks:swaks
  ip:iproute2
  dnsmasq:dnsmasq-base
  openssl:openssl
  tmux:tmux
  cc:gcc
  /usr/include/stdio.h:libc6-dev
)

main() {
  local role=${1:-}
  # Debian's users do not have the folder of postfix and of many a daemon on their PATH.
  PATH=$PATH:/usr/sbin:/sbin
  case $role in
    demo) check_programs "${demo_needs[@]}" ;;
    test) check_programs "${test_needs[@]}" ;;
    packages)
      shift
      install_packages "$@"
      return
      ;;
    *) stop "usage: bash docker/setup.sh demo|test" ;;
  esac
  if [ ${#missing[@]} -eq 0 ] && node_modules_ready; then return; fi

  hold_lock
  check_programs "${needs[@]}" # whoever held the lock may have brought them
  if [ ${#missing[@]} -gt 0 ]; then get_packages "$role"; fi
  if ! node_modules_ready; then install_node_modules; fi
}

say() { printf 'setup: %s\n' "$*" >&2; }
stop() {
  say "$@"
  exit 1
}

# --- npm -----------------------------------------------------------------------------------------

# The stamp lies in node_modules, so that it goes when `npm ci` empties the folder: a half-done
# installation has none.
expected_stamp() { printf '%s %s\n' "$(sha256sum <package-lock.json)" "$OSTYPE-$HOSTTYPE"; }
node_modules_ready() { [ -f $stamp ] && [ "$(<$stamp)" = "$(expected_stamp)" ]; }

install_node_modules() {
  # npm is a Node program: it must not run on the very Node that it is about to replace, which may be
  # half a file after an interrupted installation.
  local outside
  outside=$(path_without_project)
  local PATH=$outside
  command -v npm >/dev/null || stop 'npm is missing: install Node 20 or newer with npm, then call this again.'
  say 'installing the packages of package-lock.json (npm ci) …'
  # NODE_ENV=production or an `omit` in somebody's npm settings would leave out what we need.
  # npm itself may run on an older Node than the packages want: that warning is not for the reader.
  npm ci --include=dev --include=optional --engine-strict=false --loglevel=error ||
    stop "npm ci failed (its reason stands above). Call again when that is put right: cd $project && npm ci"
  check_node
  expected_stamp >$stamp
}

# The Node that npm scripts start: the package's where there is one for this machine, else the system's.
check_node() {
  local node version
  for node in "$project/node_modules/.bin/node" node; do
    version=$("$node" --version 2>/dev/null) || continue
    if new_enough "${version#v}"; then return; fi
    say "$node is ${version}, too old"
  done
  stop 'no Node 24.12 or newer runs on this machine: install one (https://nodejs.org) and call this again.'
}

new_enough() {
  local major minor rest
  IFS=. read -r major minor rest <<<"$1"
  [ "$major" -gt 24 ] || { [ "$major" -eq 24 ] && [ "$minor" -ge 12 ]; }
}

# PATH without what `npm run` put in front of it for this project.
path_without_project() {
  local folder kept=()
  local IFS=:
  for folder in $PATH; do
    [[ $folder == */node_modules/.bin ]] || kept+=("$folder")
  done
  printf '%s' "${kept[*]}"
}

# --- one at a time -------------------------------------------------------------------------------

# The lock is on the project's folder itself, so nothing is left behind; children inherit it, so an
# npm that outlives this script still holds it.
hold_lock() {
  exec 9<.
  if flock --nonblock 9; then return; fi
  say 'another set-up is at work in this folder; waiting for it …'
  flock 9
}

# --- Debian --------------------------------------------------------------------------------------

# Sets `missing`: the packages of what is not there.
check_programs() {
  needs=("$@")
  missing=()
  local need
  for need in "${needs[@]}"; do
    is_there "${need%%:*}" || missing+=("${need##*:}")
  done
}

is_there() {
  if [[ $1 == /* ]]; then [ -e "$1" ]; else command -v "$1" >/dev/null; fi
}

get_packages() {
  local by_hand="apt-get install --no-remove --no-install-recommends ${missing[*]}"
  say "missing on this machine: ${missing[*]}"
  if ! command -v apt-get >/dev/null || [ ! -e /etc/debian_version ]; then
    stop "this is not a Debian: install what brings these programs. On Debian 12 it would be: $by_hand"
  fi
  if [ "$(id -u)" -eq 0 ]; then
    bash docker/setup.sh packages "${missing[@]}"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n bash docker/setup.sh packages "${missing[@]}"
  else
    stop "only root can install them. As root, run: $by_hand"
  fi || stop "apt-get could not install them (its reason stands above; another mail server in the place of
  postfix is one: nothing is ever removed). By hand, as root: $by_hand"
  check_programs "${needs[@]}"
  if [ ${#missing[@]} -gt 0 ]; then
    stop "installed, and yet not to be found: ${missing[*]}. PATH is $PATH"
  fi
}

# As root. Services of the packages must not start: programs and tests start their own, on their own data.
install_packages() {
  [ "$(id -u)" -eq 0 ] || stop 'packages: only root can do this'
  export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C
  # One lock for the whole machine: two checkouts would put back each other's policy-rc.d.
  exec 8<"${policy%/*}"
  if ! flock --nonblock 8; then
    say 'another set-up installs packages; waiting for it …'
    flock 8
  fi
  apt_said=$(mktemp)
  trap 'put_policy_back; rm -f "$apt_said"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  deny_service_starts

  local name
  for name in "$@"; do
    # The mail server of the machine, if it is to be one, is for its operator to set up.
    if [ "$name" = postfix ] && [ ! -e /etc/postfix ]; then
      echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    fi
  done
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then apt_get update; fi
  apt_install "$@" || { apt_get update && apt_install "$@"; }
}

apt_install() { apt_get install --yes --no-remove --no-install-recommends "$@"; }

# Of apt's three locks it waits for one only; for the others we try again, for ten minutes.
apt_get() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    if apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 "$@" 2> >(tee "$apt_said" >&2); then return 0; fi
    grep -qE 'Could not get lock|Unable to lock' "$apt_said" || return 1
    sleep 3
  done
  return 1
}

policy=/usr/sbin/policy-rc.d
policy_kept=$policy.before-panoramix
policy_mark='written by the set-up script of panoramix for the time of its installation'

deny_service_starts() {
  put_policy_back # a set-up that was killed may have left its own
  if [ -e $policy ] || [ -L $policy ]; then mv $policy $policy_kept; fi
  printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" >$policy
  chmod 755 $policy
}

put_policy_back() {
  if [ -f $policy ] && grep -qF "$policy_mark" $policy; then rm $policy; fi
  if { [ -e $policy_kept ] || [ -L $policy_kept ]; } && [ ! -e $policy ]; then mv $policy_kept $policy; fi
}

main "$@"
exit
