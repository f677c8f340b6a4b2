#!/usr/bin/env bash
# The dashboard's pages, built and tested in a copy of web/ under build/, so that web/ stays clean.
#
#   scripts/web.sh check      units, the size of web/dist, and that a rebuild gives the same bytes
#   scripts/web.sh build      writes web/dist anew
#   scripts/web.sh mock [PLAYWRIGHT ARGUMENTS]
#                             every page in a browser (CHROMIUM, else /usr/bin/chromium) against the mock, or,
#                             with RELAY_URL and RELAY_ADMIN_KEY, against a gateway that has had traffic
#   scripts/web.sh browser [PLAYWRIGHT ARGUMENTS]
#                             the same against the gateway of RELAY_BIN_DIR (build), with traffic through
#                             relay-sim; every page's picture is in build/screenshots
#   scripts/web.sh measure    how long the first page takes until its numbers stand there
#   scripts/web.sh picture    docs/images/dashboard.png anew, of such a gateway after a busy day
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
mode=${1:-check}
[ $# = 0 ] || shift
node=$(scripts/node.sh)
# npm too runs on it: an older one would leave out Vite's own program, which wants a newer Node.js.
PATH=$(dirname "$node"):$PATH
export PATH NODE_NO_WARNINGS=1

copy=$root/build/web
mkdir -p "$copy"
find "$copy" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name .stamp ! -name test-results -exec rm -rf {} +
# What git knows and is not there is of an earlier build.
(cd web && git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | xargs -0 cp --parents -t "$copy")
cd "$copy"
stamp=$("$node" --version && cksum <package-lock.json)
if [ "$(cat .stamp 2>/dev/null)" != "$stamp" ]; then
    npm ci --silent --no-audit --no-fund
    printf '%s\n' "$stamp" >.stamp
fi
run() {
    local program=$1
    shift
    "$node" "node_modules/$program" "$@"
}

case $mode in
check)
    run vitest/vitest.mjs run
    run typescript/bin/tsc --noEmit
    run vite/bin/vite.js build --logLevel warn
    diff -r "$root/web/dist" dist || {
        echo "web/dist is not what its source gives: run scripts/web.sh build and commit it" >&2
        exit 1
    }
    ;;
build)
    run typescript/bin/tsc --noEmit
    run vite/bin/vite.js build --logLevel warn
    rm -rf "$root/web/dist"
    cp -r dist "$root/web/dist"
    ;;
mock) run @playwright/test/cli.js test "$@" ;;
browser)
    RELAY_ROOT=$root RELAY_BIN_DIR=${RELAY_BIN_DIR:-$root/build} SCREENS=${SCREENS:-$root/build/screenshots} \
        run @playwright/test/cli.js test "$@"
    ;;
measure)
    RELAY_ROOT=$root RELAY_BIN_DIR=${RELAY_BIN_DIR:-$root/build} ONLY=@measure \
        run @playwright/test/cli.js test
    ;;
picture)
    RELAY_ROOT=$root RELAY_BIN_DIR=${RELAY_BIN_DIR:-$root/build} PICTURE=$root/docs/images/dashboard.png \
        ONLY=@picture run @playwright/test/cli.js test
    ;;
*)
    sed -n '2,15s/^# \{0,1\}//p' "$root/scripts/web.sh" >&2
    exit 2
    ;;
esac
