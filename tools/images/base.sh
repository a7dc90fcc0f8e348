#!/usr/bin/env bash
# Make a base for docker/Dockerfile of this machine's own Debian release, and print its name: for
# tests, and for machines that reach Debian's mirror but no registry of images. The public default
# is what users get. Once made (a minute), it is kept in the tool cache and in buildah's store.
set -euo pipefail
cache=${1:?usage: base.sh FOLDER}
# Another number makes it anew everywhere.
readonly number=1
readonly packages=ca-certificates,python3,python3-venv

. /etc/os-release
[ "${ID:-}" = debian ] || { echo "Only a Debian can make the base; name one: make BASE=… build" >&2; exit 1; }
for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null || { echo "apt-get install $tool, then run it again" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "debootstrap needs root" >&2; exit 1; }

name=localhost/modelops-base:$VERSION_CODENAME-$number
archive=$cache/image-base-$VERSION_CODENAME-$number.tar
mkdir -p "$cache"
exec 9>"$cache/image-base.lock"
flock 9
if ! buildah inspect --type image "$name" >/dev/null 2>&1; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if [ ! -f "$archive" ]; then
        echo "Making a base image of Debian $VERSION_CODENAME (once; a minute) ..." >&2
        mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $VERSION_CODENAME" | head -n 1)
        debootstrap --variant=minbase --include="$packages" "$VERSION_CODENAME" "$work/root" "$mirror" >"$work/log" 2>&1 ||
            { tail -n 20 "$work/log" >&2; exit 1; }
        rm -rf "$work/root"/var/cache/apt/archives/*.deb "$work/root"/var/lib/apt/lists/* "$work/root"/var/log/*
        # Those of this machine: what it builds has no business with its name and name servers.
        rm -f "$work/root/etc/hostname" "$work/root/etc/resolv.conf"
        tar --create --numeric-owner --directory "$work/root" --exclude ./proc/* --exclude ./sys/* --exclude ./dev/* \
            --file "$archive.$$" .
        mv "$archive.$$" "$archive"
    fi
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$archive" / >/dev/null
    buildah config --cmd python3 --label "org.opencontainers.image.title=Debian $VERSION_CODENAME with Python" "$container"
    buildah commit --quiet --rm "$container" "$name" >/dev/null
fi
echo "$name"
