#!/bin/sh
# Makes benchmarks/.venv with the Python peers: what they depend on clashes with what Rota depends on, so they live apart.
set -eu
cd "$(dirname "$0")"
python="${PYTHON:-python3}"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints.txt
echo "peers installed in benchmarks/.venv"
