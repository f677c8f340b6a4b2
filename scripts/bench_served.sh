#!/usr/bin/env bash
# What PostgreSQL and Redis cost a gateway: tests/bench/served.py, to which arguments go (--rounds, --rate).
set -euo pipefail
cd "$(dirname "$0")/.."
python=build/venv/bin/python
if [ ! -x $python ]; then
    echo "bench-served needs the Python packages of the wire tests: make test, or scripts/test.sh wire, installs them" >&2
    exit 1
fi
scripts/build.sh release relay relay-sim relay-load
exec $python tests/bench/served.py --relay build/relay --sim build/relay-sim \
    --load build/release/bench/relay-load "$@"
