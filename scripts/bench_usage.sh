#!/usr/bin/env bash
# How fast the dashboard's panels answer over ten million rows while the gateway serves: tests/bench/usage.py, to
# which arguments go (--rows, --days, --store sqlite|postgres, --rate). It takes some minutes and 10 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."
python=build/venv/bin/python
if [ ! -x $python ]; then
    echo "bench-usage needs the Python packages of the wire tests: make test, or scripts/test.sh wire, installs them" >&2
    exit 1
fi
scripts/build.sh release relay relay-sim relay-load relay-log
exec $python tests/bench/usage.py --relay build/relay --sim build/relay-sim \
    --load build/release/bench/relay-load --log build/release/bench/relay-log "$@"
