#!/usr/bin/env bash
# Checks the NEON kernels on a machine that has no NEON: compiles them with Debian's cross compiler and
# runs their checks under qemu. The packages are unpacked into build/cross; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

PROGRAM=neon
# shellcheck source=scripts/debian.sh
. scripts/debian.sh

cross=$PWD/build/cross
encoder=(tests/embed/check_kernels.c src/embed/kernels_*.c)
index=(tests/unit/store/test_vectors_kernels.c src/store/vectors_kernel.c)
flags=(-std=c17 -O2 -D_GNU_SOURCE -Isrc -Itests -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
mkdir -p build/dev

if [ "$(uname -m)" = aarch64 ] || [ "$(uname -m)" = arm64 ]; then
    cc "${flags[@]}" "${encoder[@]}" -lm -o build/dev/check-kernels
    cc "${flags[@]}" "${index[@]}" -lm -o build/dev/check-vectors
    build/dev/check-vectors
    exec build/dev/check-kernels neon
fi
# shellcheck disable=SC1091
. /etc/os-release
[ "$ID" = debian ] || die "needs Debian's cross compiler, or a processor with NEON"
if [ ! -e "$cross/.complete" ]; then
    fetch_from "$VERSION_CODENAME" "$cross" gcc-12-aarch64-linux-gnu cpp-12-aarch64-linux-gnu \
        binutils-aarch64-linux-gnu libgcc-12-dev-arm64-cross libc6-dev-arm64-cross libc6-arm64-cross \
        linux-libc-dev-arm64-cross qemu-user-static
    touch "$cross/.complete"
fi
export LD_LIBRARY_PATH=$cross/usr/lib/x86_64-linux-gnu
there=$cross/usr/aarch64-linux-gnu
compile() {
    "$cross/usr/bin/aarch64-linux-gnu-gcc-12" "${flags[@]}" -static -isystem "$there/include" \
        -B"$cross/usr/lib/gcc-cross/aarch64-linux-gnu/12/" -B"$there/bin/" -B"$there/lib/" \
        -L"$there/lib" "$@"
}
compile "${encoder[@]}" -lm -o build/dev/check-kernels
compile "${index[@]}" -lm -o build/dev/check-vectors
"$cross/usr/bin/qemu-aarch64-static" build/dev/check-vectors
"$cross/usr/bin/qemu-aarch64-static" build/dev/check-kernels neon
