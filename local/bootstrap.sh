#!/usr/bin/env bash
# Makes .venv, the Python environment of this checkout, from uv.lock. Needs nothing but Python with venv and pip.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf '%s\n' "$@" >&2; exit 1; }

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail "python3 is missing or older than 3.11: install Python 3.11 or newer, and run this again."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/prometheus-fleet
uv=$cache/uv-$(sha256sum local/uv.txt | cut -c1-12)
if ! "$uv/bin/uv" --version >/dev/null 2>&1; then
  echo "installing uv, which installs the rest" >&2
  rm -rf "$uv" && mkdir -p "$cache"
  if ! python3 -m venv "$uv" >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      fail "python3 cannot make virtual environments: install it (Debian: apt-get install python3-venv), and run this again."
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv; } >/dev/null ||
      fail "apt-get cannot install python3-venv: do it by hand, and run this again."
    python3 -m venv --clear "$uv"
  fi
  "$uv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r local/uv.txt ||
    fail "uv cannot be installed from the Python package index: look at the message above, and run this again."
fi
UV_PYTHON_DOWNLOADS=never "$uv/bin/uv" sync --frozen --quiet --system-certs ||
  fail "the packages of uv.lock cannot be installed: look at the message above, and run this again."
