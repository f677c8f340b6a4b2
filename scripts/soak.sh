#!/usr/bin/env bash
# A gateway under everything at once (tests/wire/soak.py): scripts/soak.sh [SECONDS], 120 by default.
# By hand; not part of CI. SEED repeats a run's choices. RELAY_BIN_DIR names other programs than
# build/'s, for example build/asan.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -s)" != Linux ]; then
    echo "soak: reads memory and open files from Linux's /proc; it cannot run here" >&2
    exit 2
fi
if [ -z "${RELAY_BIN_DIR:-}" ]; then
    scripts/setup.sh build
    scripts/build.sh release
fi
if [ ! -x build/venv/bin/python ]; then
    echo "soak: run scripts/test.sh wire once, which brings the Python packages" >&2
    exit 2
fi
# Absolute: the programs are started from folders of their own.
RELAY_BIN_DIR=$(realpath "${RELAY_BIN_DIR:-build}")
export RELAY_BIN_DIR PYTHONDONTWRITEBYTECODE=1
exec build/venv/bin/python tests/wire/soak.py "${1:-120}" ${SEED:+"$SEED"}
