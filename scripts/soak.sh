#!/usr/bin/env bash
# Load, faults and time together (tests/wire/soak.py): scripts/soak.sh [--minutes 60] [--seed N] [--table FILE].
# CI has a round of it as a test. RELAY_BIN_DIR names other programs than build/'s, for example build/asan. As root it
# also cuts networks and fills disks; with the encoder's model (scripts/model.sh) it also asks the semantic cache.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -s)" != Linux ]; then
    echo "soak: reads memory and open files from Linux's /proc; it cannot run here" >&2
    exit 2
fi
scripts/setup.sh test
if [ -z "${RELAY_BIN_DIR:-}" ]; then
    scripts/build.sh release
fi
if [ ! -x build/venv/bin/python ]; then
    echo "soak: run scripts/test.sh wire once, which brings the Python packages" >&2
    exit 2
fi
# Absolute: the programs are started from folders of their own.
RELAY_BIN_DIR=$(realpath "${RELAY_BIN_DIR:-build}")
export RELAY_BIN_DIR PYTHONDONTWRITEBYTECODE=1
exec build/venv/bin/python tests/wire/soak.py "$@"
