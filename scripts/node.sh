#!/usr/bin/env bash
# Prints the path of a Node.js of at least 22, which the newest SDKs and tools want: the system's, else one
# from npm under build/ (Debian 12 has 18, Debian 13 has 20). Needs node and npm, of any age.
set -euo pipefail
cd "$(dirname "$0")/.."
version=22.23.3

if [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 22 ]; then
    command -v node
    exit
fi
machine=$(uname -m)
case $machine in
x86_64) machine=x64 ;;
aarch64) machine=arm64 ;;
esac
folder=$PWD/build/node-$version
node=$folder/node_modules/node-linux-$machine/bin/node
[ -x "$node" ] || npm install --silent --no-audit --no-fund --no-save --prefix "$folder" \
    "node-linux-$machine@$version" >&2
printf '%s\n' "$node"
