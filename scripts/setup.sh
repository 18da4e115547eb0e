#!/usr/bin/env bash
# Install everything a fresh clone needs. make run, make test and make bench call this script; a second run takes no time.
#
# Outside this folder it changes nothing but the packages that apt installs. It exits with 69 if packages are missing that this
# account may not install, and names them.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
here=$PWD
say() { printf 'setup: %s\n' "$*" >&2; }

# --- 1. System programs. The script looks for programs, not for packages: a nodejs of another supplier already has npm and
#        conflicts with Debian's npm package.
suits='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'

any_python() {  # print the path of a Python of a supported version
  local candidate
  for candidate in /usr/bin/python3 /usr/bin/python3.1{1,2,3} "$(command -v python3 || true)"; do
    if [ -x "$candidate" ] && "$candidate" -c "$suits" 2>/dev/null; then echo "$candidate"; return; fi
  done
  return 1
}
python() {  # the same, if it can make a virtual environment
  local found
  found=$(any_python) && "$found" -c 'import ensurepip, venv' 2>/dev/null && echo "$found"
}
has() { command -v "$1" >/dev/null; }
any_file() { compgen -G "$1" >/dev/null; }
is_debian() { grep -qE '^ID=debian' /etc/os-release 2>/dev/null; }
is_ubuntu() { grep -qE '^ID(_LIKE)?=.*ubuntu' /etc/os-release 2>/dev/null; }
has_chromium() {  # whether one runs: Ubuntu's chromium-browser may be a script that only points to a snap
  local candidate
  has chromium && return
  for candidate in chromium-browser google-chrome "$here"/.cache/browsers/chromium-*/chrome-linux*/chrome; do
    "$candidate" --version >/dev/null 2>&1 && return
  done
  return 1
}

missing_packages() {
  local found
  if ! python >/dev/null; then
    if found=$(any_python); then echo "python$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    else echo python3 python3-venv; fi
  fi
  { has softhsm2-util && [ -e /usr/lib/softhsm/libsofthsm2.so ]; } || echo softhsm2
  has jose                                     || echo jose
  has curl                                     || echo curl  # and jq: the examples of docs/api.md
  has jq                                       || echo jq
  has openssl                                  || echo openssl
  has pkcs11-tool                              || echo opensc
  has pdftotext                                || echo poppler-utils
  any_file '/usr/lib/postgresql/*/bin/initdb'  || echo postgresql
  { has nginx || [ -x /usr/sbin/nginx ]; }     || echo nginx
  any_file '/usr/lib/*/libatomic.so.1'         || echo libatomic1  # needed by the node inside the playwright wheel
  has go                                       || echo golang-go
  [ -e /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || echo golang-golang-x-mod-dev
  [ -e /usr/share/zoneinfo/Asia/Jakarta ]      || echo tzdata
  has node                                     || echo nodejs
  has npm                                      || echo npm
  any_file '/usr/share/fonts/truetype/dejavu/*' || echo fonts-dejavu-core
  has_chromium || is_ubuntu                    || echo chromium  # Ubuntu has a snap only: see step 5
  has chromium-headless-shell || ! is_debian || ! may_install || echo chromium-headless-shell  # without windows; the tests also run with chromium
}

as_root() {  # run a command as root without asking for a password
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_install() { has apt-get && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive PGSYSCONFDIR="$here/.cache/postgresql-common" \
    apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" >>.cache/apt.log 2>&1 ||
    { tail -20 .cache/apt.log >&2; say "apt-get $1 failed, see .cache/apt.log"; exit 1; }
}

install_packages() {
  local need="$1"
  say "installing: $need"
  # The postgresql package creates a cluster. PGSYSCONFDIR makes it a manual one, so that no server is started on port 5432.
  # The nginx package would start one on port 80. Where nothing else says what packages may start, this does while they are installed.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
  fi
  mkdir -p .cache/postgresql-common
  echo "start_conf = manual" > .cache/postgresql-common/createcluster.conf
  : > .cache/apt.log
  apt update
  # shellcheck disable=SC2086  # a list of names
  apt install -y --no-install-recommends $need
  if [ -n "$(trap -p EXIT)" ]; then as_root rm -f /usr/sbin/policy-rc.d; trap - EXIT; fi
}

need=$(missing_packages | xargs)
if [ -n "$need" ]; then
  if ! may_install; then
    say "missing system packages: $need"
    say "this account may not install them (no root, no password-less sudo, or no apt). As root, run:"
    say "    apt-get update && apt-get install -y --no-install-recommends $need"
    say "then run make again; nothing else needs root."
    exit 69
  fi
  mkdir -p .cache
  install_packages "$need"
fi
python >/dev/null || { say "Python 3.11, 3.12 or 3.13 with venv is needed; this system's packages bring none."; exit 69; }

# --- 2. One set-up at a time, by a lock. Caches stay in this folder too.
mkdir -p .cache
exec 9>.cache/setup.lock
flock 9
export PIP_CACHE_DIR="${PIP_CACHE_DIR:-$here/.cache/pip}" UV_CACHE_DIR="${UV_CACHE_DIR:-$here/.cache/uv}"
export npm_config_cache="${npm_config_cache:-$here/.cache/npm}" PIP_DISABLE_PIP_VERSION_CHECK=1 UV_PYTHON_DOWNLOADS=never
export UV_COMPILE_BYTECODE=1  # otherwise the first start compiles it, and every start where PYTHONDONTWRITEBYTECODE is set
stamp() { { echo "$here"; cat "$@"; } | sha256sum | cut -c1-32; }
fresh() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }

# --- 3. Python packages from lists with hashes that name no host, then this project itself, editable.
by_uv() {
  .venv/bin/uv pip sync -q -p .venv/bin/python --require-hashes requirements/{uv,run,dev}.txt &&
    .venv/bin/uv pip install -q -p .venv/bin/python --no-deps --require-hashes --python-version 3.12 -r requirements/nodeps.txt
}
by_pip() {  # uv does not read pip.conf: an index that is configured only there is found by pip alone
  .venv/bin/pip install -q --require-hashes -r requirements/run.txt -r requirements/dev.txt &&
    .venv/bin/pip install -q --no-deps --ignore-requires-python --require-hashes -r requirements/nodeps.txt
}
want=$(stamp requirements/*.txt pyproject.toml)
if ! fresh .venv "$want" || ! .venv/bin/python -c "$suits" 2>/dev/null; then
  say "Python packages"
  rm -f .venv/.stamp
  # An environment of another Python, or of a folder that was moved, cannot be repaired: make a new one.
  .venv/bin/python -c "$suits" 2>/dev/null && grep -q " $here/.venv\$" .venv/pyvenv.cfg || { rm -rf .venv; "$(python)" -m venv .venv; }
  .venv/bin/pip install -q --require-hashes -r requirements/uv.txt
  by_uv 2>.cache/uv.log || { say "uv could not install (.cache/uv.log), trying pip"; by_pip; }
  .venv/bin/pip install -q --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
  echo "$want" > .venv/.stamp
fi
.venv/bin/python -m compileall -q app.py config hsm manifests migrations sifilma tests  # the project's own files, for the same reason

# --- 4. Data and programs from npm, by lock file. --ignore-scripts: no package runs code at its installation.
want=$(stamp package.json package-lock.json)
if ! fresh node_modules "$want"; then
  say "npm packages"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  echo "$want" > node_modules/.stamp
fi

# --- 5. What is made once of the data in these packages: village points, the land of neighbours, the base of the maps.
.venv/bin/python -m sifilma.regions

# --- 6. A browser where the distribution has a snap only (Ubuntu), kept in this folder. The libraries it needs are packages.
#        Only the browser tests need it, so a failure is reported and stops nothing else.
if ! has_chromium; then
  say "Chromium"
  playwright() { PLAYWRIGHT_BROWSERS_PATH="$here/.cache/browsers" .venv/bin/playwright "$@"; }
  if ! playwright install chromium >.cache/browser.log 2>&1; then
    say "no Chromium could be had (.cache/browser.log): the browser tests will fail, all else works"
  else
    if may_install; then as_root "$here/.venv/bin/playwright" install-deps chromium >>.cache/browser.log 2>&1 || true; fi
    has_chromium || { say "Chromium lacks libraries. For the browser tests, as root:"; playwright install-deps --dry-run chromium >&2; }
  fi
fi
