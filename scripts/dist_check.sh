#!/usr/bin/env bash
# Checks what scripts/dist.sh made, by hand, as root (some ten minutes; `make dist` comes first):
#
#   1. the .deb installs in a bare Debian of this release; the gateway starts as its unit starts it, answers, and
#      keeps its data over an upgrade and a removal; a purge leaves nothing. What is upgraded is the same package
#      with a lower version. There is no systemd in the folder: the unit's commands are run as its user.
#   2. the program, the package, the source and the list of parts have the version of CMakeLists.txt
#   3. the source archive builds without a network, once the libraries are there
#   4. another clone, in another folder, gives the same bytes
#
# Ends in "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."
PROGRAM=dist-check
# shellcheck source=scripts/bare_debian.sh
. scripts/bare_debian.sh
# shellcheck source=scripts/attempt.sh
. scripts/attempt.sh
work=$(mktemp -d)
logs=$work/logs
mkdir "$logs"
trap 'rm -rf "$work"' EXIT
package=$(echo build/dist/relay_*.deb)
[ -e "$package" ] || {
    echo "$PROGRAM: there is no package in build/dist: make dist" >&2
    exit 1
}

lend_dependencies() {
    mkdir -p "$1/build"
    for part in deps models; do
        [ ! -e "build/$part" ] || ln -s "$PWD/build/$part" "$1/build/$part"
    done
}

same_bytes() {
    git clone -q . "$work/elsewhere"
    lend_dependencies "$work/elsewhere"
    (cd "$work/elsewhere" && scripts/build.sh release && scripts/dist.sh)
    diff build/dist/SHA256SUMS "$work/elsewhere/build/dist/SHA256SUMS"
}

builds_offline() {
    mkdir "$work/offline"
    tar -xzf build/dist/relay-*.tar.gz -C "$work/offline" --strip-components 1
    lend_dependencies "$work/offline"
    (cd "$work/offline" && unshare --net make build && build/relay version)
}

# The unit's ExecStartPre and ExecStart, as its user, in its folder; then a question, and SIGTERM.
# shellcheck disable=SC2016
starts='
set -e
cd /var/lib/relay
command_of() { sed -n "s/^$1=//p" /lib/systemd/system/relay.service; }
export RELAY_SERVER_LISTEN=127.0.0.1:$PORT
runuser -u relay -- $(command_of ExecStartPre)
runuser -u relay -- $(command_of ExecStart) --demo >/tmp/relay.log 2>&1 &
pid=$!
for try in $(seq 300); do
    [ -s data/first-key ] && (exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null && break
    sleep 0.2
done
body="{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"ship it\"}]}"
exec 3<>/dev/tcp/127.0.0.1/$PORT
printf "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" \
    "$(cat data/first-key)" ${#body} "$body" >&3
answer=$(cat <&3)
echo "$answer"
pkill -TERM -u relay relay$ || kill $pid
wait $pid || true
[[ $answer == *" 200 "*chat.completion* ]]'

# The package as an older one would be.
make_older() {
    dpkg-deb -R "$package" "$work/older"
    sed -i 's/^Version: .*/Version: 0.0.1/' "$work/older/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/older" "$folder/srv/older.deb"
    rm -rf "$work/older"
}

installs() {
    cp "$package" "$folder/srv/relay.deb"
    make_older
    inside /srv "apt-get -q update && apt-get -q -y --no-install-recommends install ./older.deb procps"
    inside /srv "PORT=$port; $starts"
    # shellcheck disable=SC2016
    inside /srv 'test "$(stat -c "%U %a" /var/lib/relay)" = "relay 700" && test "$(stat -c %a /etc/relay/env)" = 600'
}

upgrades() {
    inside /srv 'echo "# mine" >>/etc/relay/relay.yaml; sha256sum /var/lib/relay/data/first-key >/tmp/before &&
        apt-get -q -y install ./relay.deb && sha256sum -c /tmp/before && grep -q "# mine" /etc/relay/relay.yaml &&
        runuser -u relay -- sh -c "cd && relay logs --config /etc/relay/relay.yaml" | grep -q chat'
    inside /srv "PORT=$port; $starts"
}

has_one_version() {
    local version part
    version=$(sed -nE 's/^project\(relay VERSION ([0-9.]+) .*/\1/p' CMakeLists.txt)
    [ "$(inside /srv 'relay version')" = "relay $version" ]
    [ "$(dpkg-deb -f "$package" Version)" = "$version" ]
    part=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["metadata"]["component"]["version"])' \
        <"build/dist/relay-$version.cdx.json")
    [ "$part" = "$version" ]
    [ "$(tar -tzf "build/dist/relay-$version.tar.gz" | head -1)" = "relay-$version/" ]
}

is_removed() {
    inside /srv 'apt-get -q -y remove relay && test -e /var/lib/relay/data/relay.db && ! command -v relay &&
        apt-get -q -y purge relay && test ! -e /var/lib/relay && test ! -e /etc/relay'
}

# shellcheck source=/dev/null
. /etc/os-release
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
bare_debian "$VERSION_CODENAME" ca-certificates
attempt 'the package installs, and the gateway starts and answers' installs
attempt 'an upgrade keeps configuration and data, and the gateway starts again' upgrades
attempt 'there is one version' has_one_version
attempt 'removal keeps the data, purge nothing' is_removed
rm -rf --one-file-system "$folder" "$folder.log"
attempt 'the source archive builds without a network' builds_offline
attempt 'a second build gives the same bytes' same_bytes

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
