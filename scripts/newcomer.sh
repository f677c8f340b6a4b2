#!/usr/bin/env bash
# Tries the README on a machine where nothing was prepared: a bare Debian in a folder, made with
# debootstrap, with git and make inside and nothing else. Runs as root, by hand; not part of CI.
#
#   scripts/newcomer.sh [SUITE] [TARGET...]     SUITE: bookworm (default), trixie
#                                               TARGET: make targets; default: run guides test
#
# It clones the last commit, runs each target in a clean environment, and prints its seconds (and those of the processors: the
# first are the machine's that day), what came over
# the network meanwhile (this machine's interfaces but for the loopback: nothing else should download) and
# what it added to the disk. With the target `run` it waits for the gateway to answer, then stops it;
# `guides`, which is no make target, runs every command of README.md and docs/guides. What this
# machine needs to reach the network (resolver, proxies, extra CA certificates) is lent to the folder for
# the trial. The folder stays for a look around unless KEEP=no.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-bookworm}
[ $# = 0 ] || shift
[ $# != 0 ] || set -- run guides test

PROGRAM=newcomer
# shellcheck source=scripts/bare_debian.sh
. scripts/bare_debian.sh
bare_debian "$suite" git,make,ca-certificates
git clone -q --no-hardlinks . "$folder/srv/relay"

megabytes() { du -smx "$folder" | cut -f1; }
received() { awk 'NR > 2 && $1 != "lo:" { n += $2 } END { printf "%d", n / 1e6 }' /proc/net/dev; }
processor_seconds() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%d", ($16 + $17) / hz }' /proc/$$/stat; }

# Starts the gateway, asks it whether it is well, stops it. The folder has no curl, so the shell asks.
# shellcheck disable=SC2016
run_and_ask='
if (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; then
    echo "port 8080 is taken on this machine: stop what listens there first"
    exit 1
fi
make run >run.log 2>&1 &
pid=$!
answer=
while kill -0 $pid 2>/dev/null && [ -z "$answer" ]; do
    sleep 0.2
    answer=$({ exec 3<>/dev/tcp/127.0.0.1/8080 &&
        printf "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" >&3 &&
        head -1 <&3; } 2>/dev/null)
done
cat run.log
echo "GET /healthz: $answer"
kill $pid 2>/dev/null
wait $pid
[[ $answer == *200* ]]'

status=0
before=$(megabytes)
for target in "$@"; do
    command="make $target"
    case $target in
    run) command=$run_and_ask ;;
    guides) command='scripts/test.sh guides' ;;
    esac
    started=$SECONDS
    got=$(received) used=$(processor_seconds)
    inside /srv/relay "$command" </dev/null >"$folder.$target.log" 2>&1 || {
        status=1
        echo "newcomer: $target FAILED"
    }
    tail -15 "$folder.$target.log"
    after=$(megabytes)
    echo "newcomer: $suite: $target took $((SECONDS - started)) s, $(($(processor_seconds) - used)) s of processors," \
        "$(($(received) - got)) MB from the network and $((after - before)) MB on the disk"
    before=$after
done
[ "${KEEP:-yes}" != no ] || rm -rf --one-file-system "$folder"
exit $status
