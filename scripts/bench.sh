#!/usr/bin/env bash
# What `make bench` does behind set-up and build: the scorecard, Relay beside nginx on this machine.
# It takes about 10 minutes; BENCH_QUICK=1 about one, with numbers good for a first look only.
# Arguments go to tests/bench/scorecard.py (--million, --markdown FILE).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -s)" != Linux ]; then
    echo "bench: the scorecard reads CPU times from Linux's /proc; it cannot run here" >&2
    exit 2
fi
scripts/build.sh release relay-load
exec python3 tests/bench/scorecard.py --relay build/relay --sim build/relay-sim \
    --load build/release/bench/relay-load ${BENCH_QUICK:+--quick} "$@"
