#!/usr/bin/env bash
# Installs what Relay needs on this machine, and nothing that is there already.
#
#   scripts/setup.sh build   compiler, CMake and the libraries Relay is linked with
#   scripts/setup.sh stack   that, and what `make stack` starts: PostgreSQL, Redis 8, nginx, Prometheus
#   scripts/setup.sh test    that, and what the tests and the static checks need
#   scripts/setup.sh bench   the same: the benchmark's yardstick is nginx
#   scripts/setup.sh others  that, Valkey, for the tests that are skipped without it, and PostgreSQL 17
#
# On Debian and Ubuntu the packages come from the system's own sources, through apt-get (as root, or
# with sudo). Debian 12 has neither yyjson nor llhttp: these two are fetched from the next release by
# a private apt configuration that lives in build/apt and are unpacked into build/deps. So are the Redis 8
# of the tests, on every Debian, and Debian 12's Redis 7: installing their packages would start servers. PostgreSQL's package is
# installed, where there is no server program yet, in a way that makes no database cluster and starts
# nothing. nginx and Prometheus are unpacked into build/deps, too, where the machine has none: their
# packages would start services. The system's package sources are never changed. On macOS the same
# things come from Homebrew.
#
# Running it again is cheap: when nothing is missing it asks no network and needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-build}
case $mode in
build | stack | test | bench | others) ;;
*)
    echo "usage: scripts/setup.sh build|stack|test|bench|others" >&2
    exit 2
    ;;
esac

PROGRAM=setup
# shellcheck source=scripts/debian.sh
. scripts/debian.sh

# --- Debian and Ubuntu ---------------------------------------------------------------------------

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# True when the system's own sources offer the package.
is_offered() {
    local policy
    policy=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null)
    grep -q '^  Candidate: [^(]' <<<"$policy"
}

install_packages() {
    local missing=() name
    for name in "$@"; do
        is_installed "$name" || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return
    update_lists
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=120 --no-install-recommends install "${missing[@]}"
}

# unpack_server FOLDER SUITE PROGRAM PACKAGE...: a server of the tests' own, in build/deps/FOLDER with the
# libraries that it is linked with and their loader, so that it runs on a Debian of any age. The script
# FOLDER/PROGRAM starts it in place.
unpack_server() {
    local root=build/deps/$1 suite=$2 program=$3 loader
    shift 3
    [ -e "$root/.complete" ] && return
    if [ "$ID" != debian ]; then
        command -v "$program" >/dev/null || say "found no $program: the tests with it will be skipped"
        return
    fi
    rm -rf "$root"
    fetch_from "$suite" "$root" "$@" libc6 libjemalloc2 liblzf1 libatomic1 libstdc++6 libgcc-s1 libsystemd0 \
        libcap2 libzstd1 zlib1g libgcrypt20 libgpg-error0 liblz4-1 liblzma5
    loader=$(cd "$root" && find usr/lib -name 'ld-linux-*.so.*' -print -quit)
    [ -n "$loader" ] || die "the fetched libc6 holds no loader"
    cat >"$root/$program" <<SCRIPT
#!/bin/sh
root=\$(cd "\$(dirname "\$0")" && pwd)
libraries=\$(echo "\$root"/usr/lib/*-linux-gnu)
exec "\$root/$loader" --argv0 $program --library-path "\$libraries" "\$root/usr/bin/$program" "\$@"
SCRIPT
    chmod +x "$root/$program"
    "$root/$program" --version >/dev/null || die "the fetched $program does not run"
    touch "$root/.complete"
}

setup_redis() {
    unpack_server redis trixie redis-server redis-server redis-tools libssl3t64
}

# Debian 12's own Redis, which is a 7: without vector sets. It needs no lists of another suite.
setup_redis7() {
    local root=build/deps/redis7
    { [ "$ID" = debian ] && [ "${VERSION_ID%%.*}" = 12 ] && [ ! -e $root/.complete ]; } || return 0
    fetch_own $root redis-server redis-tools liblua5.1-0 lua-bitop lua-cjson libjemalloc2 liblzf1
    cat >$root/redis-server <<'SCRIPT'
#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-gnu) exec "$root/usr/bin/redis-server" "$@"
SCRIPT
    chmod +x $root/redis-server
    $root/redis-server --version >/dev/null || die "the fetched redis-server 7 does not run"
    touch $root/.complete
}

# What Relay works with, too, and no test needs: what docs/guides/redis.md and postgresql.md say of
# them was tried with these.
setup_others() {
    unpack_server valkey trixie valkey-server valkey-server valkey-tools libssl3t64
    unpack_postgres17
}

# Its programs look for each other and for their files beside themselves: each becomes a script in its
# place. RELAY_POSTGRES_BIN=$PWD/build/deps/postgres17/usr/lib/postgresql/17/bin makes the tests use them.
unpack_postgres17() {
    local root=$PWD/build/deps/postgres17 bin loader libraries program
    { [ "$ID" = debian ] && [ ! -e "$root/.complete" ]; } || return 0
    rm -rf "$root"
    fetch_from trixie "$root" postgresql-17 libpq5 libc6 libssl3t64 libxml2 libldap2 libpam0g libgssapi-krb5-2 \
        libicu76 liblz4-1 libzstd1 zlib1g libsystemd0 libreadline8t64 libselinux1 libkrb5-3 libk5crypto3 \
        libcom-err2 libkrb5support0 libkeyutils1 libsasl2-2 libaudit1 libcap2 libcap-ng0 libgcrypt20 \
        libgpg-error0 liblzma5 libstdc++6 libgcc-s1 libpcre2-8-0 libtinfo6
    bin=$root/usr/lib/postgresql/17/bin
    loader=$root/$(cd "$root" && find usr/lib -name 'ld-linux-*.so.*' -print -quit)
    libraries=$(echo "$root"/usr/lib/*-linux-gnu)
    for program in postgres initdb; do
        mv "$bin/$program" "$bin/$program.unpacked"
        printf '#!/bin/sh\nexec "%s" --argv0 "%s" --library-path "%s" "%s" "$@"\n' \
            "$loader" "$bin/$program" "$libraries" "$bin/$program.unpacked" >"$bin/$program"
        chmod +x "$bin/$program"
    done
    chmod -R a+rX "$root"
    "$bin/initdb" --version >/dev/null || die "the fetched PostgreSQL 17 does not run"
    touch "$root/.complete"
}

has_postgres() {
    local program
    for program in /usr/lib/postgresql/*/bin/postgres "$(command -v postgres || true)"; do
        [ -x "$program" ] && [ "$("$program" --version | grep -oE '[0-9]+' | head -1)" -ge 15 ] && return
    done
    return 1
}

# The server's package makes a cluster and starts it, unless postgresql-common, which comes first, is
# told not to. What it is told is taken back afterwards: nothing of the machine's settings changes.
setup_postgres() {
    local conf=/etc/postgresql-common/createcluster.conf kept
    has_postgres && return
    install_packages postgresql-common
    kept=$(mktemp)
    cat $conf >"$kept"
    echo 'create_main_cluster = false' | as_root tee -a $conf >/dev/null
    install_packages postgresql || true
    as_root tee $conf <"$kept" >/dev/null
    rm -f "$kept"
    has_postgres || die "found no PostgreSQL 15 or newer to install"
}

# unpack_program PACKAGE PATH OPTION: where the machine has no such program, the package's files in
# build/deps/PACKAGE; OPTION makes it print its version. The libraries that it wants are those which the
# build has installed already.
unpack_program() {
    local root=build/deps/$1 program=$2 option=$3
    ! command -v "$(basename "$program")" >/dev/null && [ ! -x "/$program" ] && [ ! -e "$root/.complete" ] || return 0
    fetch_own "$root" "$1"
    "$root/$program" "$option" >/dev/null 2>&1 || die "the fetched $1 does not run"
    touch "$root/.complete"
}

setup_apt() {
    local build_packages=(gcc libc6-dev make cmake ninja-build pkg-config libuv1-dev libssl-dev
        libsqlite3-dev libpq-dev libyaml-dev libhiredis-dev ca-certificates)
    install_packages "${build_packages[@]}"
    if ! { is_installed libyyjson-dev && is_installed libllhttp-dev; } &&
        ! { [ -e build/deps/.complete ]; }; then
        [ -n "$(ls /var/lib/apt/lists/*_Packages* 2>/dev/null)" ] || update_lists
        if is_offered libyyjson-dev && is_offered libllhttp-dev; then
            install_packages libyyjson-dev libllhttp-dev
        elif [ "$ID" = debian ] && [ "${VERSION_ID%%.*}" -le 12 ]; then
            fetch_from trixie build/deps libyyjson-dev libyyjson0 libllhttp-dev libllhttp9.2
            touch build/deps/.complete
        else
            die "this system offers no libyyjson-dev and libllhttp-dev (Debian 12 or later, Ubuntu 24.04 or later)"
        fi
    fi
    # scripts/model.sh fetches the encoder's model with pip.
    python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3 python3-venv
    [ "$mode" = build ] && return

    setup_postgres
    setup_redis
    unpack_program nginx usr/sbin/nginx -v
    unpack_program prometheus usr/bin/prometheus --version
    [ "$mode" = stack ] && return

    setup_redis7
    [ "$mode" = others ] && setup_others
    local clang_major
    clang_major=$(apt-cache depends clang 2>/dev/null | sed -nE 's/.*Depends: clang-([0-9]+).*/\1/p' | head -1)
    install_packages g++ clang clang-format clang-tidy "libclang-rt-${clang_major:-14}-dev" \
        shellcheck openssl curl
    { node --version && npm --version; } >/dev/null 2>&1 || install_packages nodejs npm
    # Ubuntu's package of this name fetches a snap: the browser tests are skipped there.
    [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || [ "$ID" != debian ] || install_packages chromium
}

# --- macOS ---------------------------------------------------------------------------------------

setup_brew() {
    command -v brew >/dev/null || die "needs Homebrew (https://brew.sh)"
    local wanted=(cmake ninja pkg-config libuv openssl@3 sqlite libpq libyaml yyjson llhttp hiredis) missing=() name
    [ "$mode" != build ] && wanted+=(redis postgresql@17 nginx prometheus)
    case $mode in test | bench | others) wanted+=(llvm shellcheck python node) ;; esac
    for name in "${wanted[@]}"; do
        brew list --versions "$name" >/dev/null 2>&1 || missing+=("$name")
    done
    if [ ${#missing[@]} != 0 ]; then
        say "installing ${missing[*]}"
        brew install "${missing[@]}"
    fi
}

# -------------------------------------------------------------------------------------------------

case $(uname -s) in
Darwin) setup_brew ;;
Linux)
    command -v apt-get >/dev/null ||
        die "knows apt-get and Homebrew only; install the packages listed in README.md by hand"
    # shellcheck disable=SC1091
    . /etc/os-release
    setup_apt
    ;;
*) die "knows Linux and macOS only" ;;
esac
say "everything for '$mode' is there"
