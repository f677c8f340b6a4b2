#!/usr/bin/env bash
# What `make run` does: set up, build, start. Relay itself looks for providers, and starts relay-sim
# beside it (--demo) when it finds none. Arguments go to `relay serve`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
scripts/build.sh release
scripts/model.sh || true
exec build/relay serve --demo "$@"
