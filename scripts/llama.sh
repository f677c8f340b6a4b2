#!/usr/bin/env bash
# Brings a real model server for `make test-real`: llama-server of llama.cpp. Its last line is the path
# of a command that starts it.
#
# Debian's rolling suite has it and the libraries it was linked with; they are fetched without being
# installed, as scripts/debian.sh does it, into build/llama, and build/llama/llama-server runs them
# with their own loader, since they want a newer C library than a stable Debian has. Running this
# again fetches nothing; remove build/llama for a newer one. LLAMA_SERVER names another llama-server,
# which is what macOS (brew install llama.cpp) and other systems need.
set -euo pipefail
cd "$(dirname "$0")/.."
PROGRAM=llama
# shellcheck source=scripts/debian.sh
. scripts/debian.sh

folder=$PWD/build/llama
launcher=$folder/llama-server
packages=(llama.cpp-tools libllama0 libggml0 libc6 libgcc-s1 libstdc++6 libgomp1 libssl3t64 libzstd1 zlib1g)

# The two processors that Debian's packages and Relay both know. The plainest of the backends that are
# packaged for each: the models of the tests are tiny, and it runs on every machine.
find_machine() {
    case $(dpkg --print-architecture) in
    amd64)
        triplet=x86_64-linux-gnu
        loader=ld-linux-x86-64.so.2
        backend=libggml-cpu-x64.so
        ;;
    arm64)
        triplet=aarch64-linux-gnu
        loader=ld-linux-aarch64.so.1
        backend=libggml-cpu-armv8.0_1.so
        ;;
    *) die "knows amd64 and arm64 only; name a llama-server of your own in LLAMA_SERVER" ;;
    esac
}

write_launcher() {
    local root=$folder/root libraries backend_path loader_path
    libraries=$root/usr/lib/$triplet
    backend_path=$(find "$libraries" -name "$backend" -print -quit)
    loader_path=$(find "$root" -name "$loader" -print -quit)
    if [ -z "$backend_path" ] || [ -z "$loader_path" ]; then
        die "the packages have changed: no $backend or no $loader in $root"
    fi
    # %q, which is bash's: a folder's name may have spaces.
    {
        printf '#!/usr/bin/env bash\n'
        printf 'export GGML_BACKEND_PATH=%q\n' "$backend_path"
        printf 'exec %q --library-path %q --argv0 llama-server %q "$@"\n' "$loader_path" \
            "$libraries:$libraries/llama" "$root/usr/bin/llama-server"
    } >"$launcher"
    chmod +x "$launcher"
}

if [ -n "${LLAMA_SERVER:-}" ]; then
    launcher=$LLAMA_SERVER
elif [ ! -x "$launcher" ]; then
    # shellcheck disable=SC1091
    . /etc/os-release 2>/dev/null || true
    [ "${ID:-}" = debian ] ||
        die "fetches llama-server on Debian only; name one of your own in LLAMA_SERVER"
    find_machine
    rm -rf "$folder"
    mkdir -p "$folder/root"
    fetch_from sid "$folder/root" "${packages[@]}"
    write_launcher
fi

version=$("$launcher" --version 2>&1) || die "$launcher does not run: $version"
say "$(grep -m1 -i version <<<"$version")"
printf '%s\n' "$launcher"
