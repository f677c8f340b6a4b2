# shellcheck shell=bash
# Debian's packages for the other scripts, which source this: the machine's own through apt-get,
# installed or only unpacked into a folder of the build, and those of another suite (a newer release, or
# the rolling one), unpacked into such a folder.
#
# For the last, apt-get runs with a private configuration whose package lists and archives live in
# build/apt for the moment; the mirror and the keyring are read from the machine's own sources. The
# system's package sources are never changed and nothing is installed.
#
# Needs $PWD to be the repository's, and $PROGRAM to be the name that messages begin with.

say() { printf '%s: %s\n' "$PROGRAM" "$*"; }
die() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root or sudo to run: $*"
    fi
}

lists_updated=no
update_lists() {
    [ $lists_updated = yes ] && return
    say "updating the package lists"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
    lists_updated=yes
}

# fetch_own DIRECTORY PACKAGE...: unpacks packages of the machine's own sources into a directory. Nothing
# is installed, so no service of theirs starts.
fetch_own() {
    local into=$1 debs=$PWD/build/apt-own archive
    shift
    update_lists
    say "fetching $* into $into"
    rm -rf "$debs" "$into"
    mkdir -p "$debs" "$into"
    (cd "$debs" && apt-get -q -o APT::Sandbox::User= download "$@")
    for archive in "$debs"/*.deb; do
        dpkg -x "$archive" "$into"
    done
    rm -rf "$debs"
}

# Prints "URI KEYRING" of the machine's own Debian mirror, whichever form its sources are written in.
find_debian_mirror() {
    local targets line uri entry file keyring
    # shellcheck disable=SC2016
    targets=$(apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(CODENAME)|$(SOURCESENTRY)' \
        'Created-By: Packages')
    line=$(grep -m1 "|Debian|$VERSION_CODENAME|" <<<"$targets") || return 1
    uri=${line%%|*}
    entry=${line##*|}
    file=${entry%:*}
    keyring=$(grep -hoiE -m1 'signed-by[:=] *[^] ]+\.(gpg|asc|pgp)' "$file" |
        sed -E 's/^[^:=]*[:=] *//') || true
    printf '%s %s\n' "$uri" "${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}"
}

# fetch_from SUITE DIRECTORY PACKAGE...: unpacks packages of another Debian suite into a directory,
# with package lists and archives of its own under build/apt. Nothing is installed.
fetch_from() {
    local suite=$1 into=$2 mirror uri keyring apt=$PWD/build/apt archive
    shift 2
    if ! mirror=$(find_debian_mirror); then
        update_lists
        mirror=$(find_debian_mirror) || die "found no Debian mirror in this machine's package sources"
    fi
    read -r uri keyring <<<"$mirror"
    [ -r "$keyring" ] || die "cannot read the keyring $keyring of this machine's package sources"

    say "fetching $* from Debian's $suite suite into $into"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/debs"
    : >"$apt/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::State::status "$apt/status";
Dir::State::lists "$apt/lists";
Dir::Cache::archives "$apt/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "";
CONF
    export APT_CONFIG=$apt/apt.conf
    apt-get -q update
    rm -f "$apt"/debs/*.deb
    (cd "$apt/debs" && apt-get -q download "$@")
    unset APT_CONFIG
    mkdir -p "$into"
    for archive in "$apt"/debs/*.deb; do
        dpkg -x "$archive" "$into"
    done
    rm -rf "$apt"
}
