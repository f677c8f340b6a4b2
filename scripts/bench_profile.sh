#!/usr/bin/env bash
# Where the time of a plain request goes in Relay's worker, step by step: tests/bench/steps.py, to which arguments
# go (--requests, --seconds), with a build of its own that has symbols. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || {
    echo "bench-profile needs valgrind, Debian's package of that name" >&2
    exit 2
}
cmake -S . -B build/profile -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-g -DRELAY_TESTS=OFF \
    -DRELAY_BIN_DIR="$PWD/build/profile" >build/profile.log
cmake --build build/profile -j "${JOBS:-2}" --target relay relay-sim relay-load
exec python3 tests/bench/steps.py --relay build/profile/relay --sim build/profile/relay-sim \
    --load build/profile/bench/relay-load "$@"
