#!/usr/bin/env bash
# What a limit in Redis costs beside a bare EVALSHA: scripts/bench_limiter.sh [RATE [SECONDS]]. Starts
# the redis-server of the tests on a free port and stops it again.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${RELAY_REDIS_SERVER:-build/deps/redis/redis-server}
[ -x "$program" ] || {
    echo "there is no redis-server: scripts/setup.sh test fetches it" >&2
    exit 1
}
scripts/build.sh release relay-limiter
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" --bind 127.0.0.1 --port "$port" --save "" --dir "$folder" >"$folder/log" 2>&1 &
server=$!
trap 'kill $server; wait $server 2>/dev/null || true; rm -r "$folder"' EXIT
build/release/bench/relay-limiter "$port" "${1:-1000}" "${2:-10}"
