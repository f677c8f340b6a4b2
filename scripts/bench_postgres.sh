#!/usr/bin/env bash
# How fast a journal drains into PostgreSQL while a gateway serves: tests/bench/postgres_drain.py, to which
# arguments go (--rows, --rate, --outage). It takes some minutes with its million rows.
set -euo pipefail
cd "$(dirname "$0")/.."
python=build/venv/bin/python
if [ ! -x $python ]; then
    echo "bench-postgres needs the Python packages of the wire tests: make test, or scripts/test.sh wire, installs them" >&2
    exit 1
fi
scripts/build.sh release relay relay-sim relay-load relay-journal
exec $python tests/bench/postgres_drain.py --relay build/relay --sim build/relay-sim \
    --load build/release/bench/relay-load --journal build/release/bench/relay-journal "$@"
