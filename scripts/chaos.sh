#!/usr/bin/env bash
# Two gateways on PostgreSQL and Redis while everything breaks (tests/wire/chaos.py): scripts/chaos.sh
# [SECONDS], 120 by default. CI runs each fault once, as a test. SEED repeats a run's choices. RELAY_BIN_DIR
# names other programs than build/'s, for example build/asan. As root it also cuts networks and fills disks.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test
if [ -z "${RELAY_BIN_DIR:-}" ]; then
    scripts/build.sh release
fi
if [ ! -x build/venv/bin/python ]; then
    echo "chaos: run scripts/test.sh wire once, which brings the Python packages" >&2
    exit 2
fi
# Absolute: the programs are started from folders of their own.
RELAY_BIN_DIR=$(realpath "${RELAY_BIN_DIR:-build}")
export RELAY_BIN_DIR PYTHONDONTWRITEBYTECODE=1
exec build/venv/bin/python tests/wire/chaos.py "${1:-120}" ${SEED:+"$SEED"}
