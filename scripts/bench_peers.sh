#!/usr/bin/env bash
# Relay beside nginx and beside other gateways: fetches those that the package registries serve into build/peers,
# in the versions that are pinned in tests/bench/peers/, and runs tests/bench/peers.py, to which arguments go
# (--rounds, --quick, --only, --docs). What cannot be had is said, and the others are measured.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -s)" != Linux ]; then
    echo "bench-peers reads CPU times from Linux's /proc; it cannot run here" >&2
    exit 2
fi
pins=tests/bench/peers
folder=build/peers
mkdir -p $folder

# have NAME PINS COMMAND...: runs the command unless it has run for these pins already.
have() {
    local name=$1 wanted=$2
    shift 2
    cmp -s "$wanted" "$folder/$name/pins" && return
    rm -rf "${folder:?}/$name"
    mkdir "$folder/$name"
    echo "bench-peers: fetching $name" >&2
    if "$@" "$folder/$name" "$wanted" >"$folder/$name.log" 2>&1; then
        cp "$wanted" "$folder/$name/pins"
    else
        echo "bench-peers: $name cannot be had here: $(tail -n 1 "$folder/$name.log")" >&2
        rm -rf "${folder:?}/$name"
    fi
}

fetch_python() {
    python3 -m venv "$1" && "$1/bin/pip" install -q --disable-pip-version-check -r "$2"
}

fetch_node() {
    cp $pins/package.json "$2" "$1" && npm ci --ignore-scripts --no-audit --no-fund --prefix "$1"
}

have litellm $pins/litellm.txt fetch_python
have tensorzero $pins/tensorzero.txt fetch_python
have portkey $pins/package-lock.json fetch_node
echo "bench-peers: Bifrost cannot be had: its npm package is a script that downloads the program from elsewhere" >&2
scripts/build.sh release relay relay-sim relay-load
exec python3 tests/bench/peers.py --relay build/relay --sim build/relay-sim \
    --load build/release/bench/relay-load --peers $folder "$@"
