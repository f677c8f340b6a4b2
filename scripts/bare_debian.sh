# shellcheck shell=bash
# A bare Debian in a folder, made with debootstrap, for trials of what a newcomer would do. Sourced by
# scripts/newcomer.sh and scripts/dist_check.sh; PROGRAM names who speaks. Needs root.
#
#   bare_debian SUITE PACKAGES     makes it; $folder is where. What this machine needs to reach the network
#                                  (resolver, proxies, extra CA certificates) is lent to it.
#   inside FOLDER COMMAND          runs a shell's command there, from FOLDER

bare_debian() {
    local suite=$1 packages=$2 mirror name
    [ "$(id -u)" = 0 ] || {
        echo "$PROGRAM: needs root, for debootstrap and chroot" >&2
        exit 1
    }
    command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -q -y install debootstrap

    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(LABEL)' 'Created-By: Packages' |
        sed -n 's/|Debian|Debian$//p' | sort -u | tail -1)
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/relay-$PROGRAM-$suite.XXXXXX")
    chmod 755 "$folder"
    echo "$PROGRAM: $suite in $folder"

    debootstrap --variant=minbase --include="$packages" "$suite" "$folder" "$mirror" \
        >"$folder.log" 2>&1 || {
        tail -20 "$folder.log" >&2
        exit 1
    }

    cp /etc/resolv.conf "$folder/etc/resolv.conf"
    cp /etc/hosts "$folder/etc/hosts"
    cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
    settings=(HOME=/srv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY NODE_EXTRA_CA_CERTS PIP_CERT \
        SSL_CERT_FILE PIP_DEFAULT_TIMEOUT; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
}

# In namespaces of its own: the mounts and whatever was started are gone when the command ends.
inside() {
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child bash -c '
        folder=$1; shift
        mount -t proc proc "$folder/proc"
        mount --rbind /dev "$folder/dev"
        exec chroot "$folder" env -i "$@"' inside "$folder" "${settings[@]}" \
        bash -c "cd $1 && $2"
}
