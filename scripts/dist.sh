#!/usr/bin/env bash
# What a release consists of, from the last commit, in build/dist:
#
#   relay-VERSION.tar.gz            the source; it builds offline where scripts/setup.sh build finds everything
#   relay_VERSION_ARCH.deb          the package of this Debian, where dpkg-dev is installed
#   relay-VERSION.cdx.json          the parts it is made of (CycloneDX 1.6)
#   SHA256SUMS
#
#   scripts/dist.sh           all of it
#   scripts/dist.sh source    the source alone
#
# The same commit on the same system gives the same bytes; scripts/dist_check.sh shows it.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
version=$(sed -nE 's/^project\(relay VERSION ([0-9.]+) .*/\1/p' CMakeLists.txt)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
dist=$PWD/build/dist
name=relay-$version

[ -z "$(git status --porcelain)" ] || echo "dist: the tree has changes that are not committed; they are left out" >&2
rm -rf "$dist"
mkdir -p "$dist"
git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$dist/$name.tar.gz"

make_package() {
    local tree=build/dist-tree
    if ! command -v dpkg-shlibdeps >/dev/null; then
        echo "dist: no .deb: it wants dpkg-dev" >&2
        return
    fi
    # From the archive, not from the folder, so that nothing that lies about gets in.
    rm -rf "$tree"
    mkdir -p "$tree"
    tar -xzf "$dist/$name.tar.gz" -C "$tree" --strip-components 1
    mkdir -p "$tree/build"
    for part in deps models; do
        [ ! -e "build/$part" ] || ln -s "$PWD/build/$part" "$tree/build/$part"
    done
    (
        cd "$tree"
        cmake --preset release -D RELAY_PACKAGE=ON >build/release.log
        scripts/build.sh release >>build/release.log
        cd build/release
        cpack -G DEB -B "$dist" >>../release.log
    ) || {
        tail -30 "$tree/build/release.log" >&2
        return 1
    }
    rm -rf "$dist/_CPack_Packages" "$tree"
}

if [ "$what" != source ]; then
    make_package
    scripts/sbom.py "$version" >"$dist/$name.cdx.json"
fi
(cd "$dist" && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
stat -c "%12s  %n" "$dist"/* | sed "s|$dist/||"
