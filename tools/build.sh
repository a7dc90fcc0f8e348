#!/usr/bin/env bash
# Build one of the pinned Go programs: build.sh TARGET PACKAGE LDFLAGS [FOLDER OF ITS go.mod]
# The target's folder carries the version, so another version is another folder and nothing is stale.
set -euo pipefail
target=$1 package=$2 ldflags=$3
cd "$(dirname "$0")/${4:-.}"
command -v go >/dev/null || {
    echo "Go is needed to build ${package##*/}. Install Go 1.25 or newer, then run make again." >&2
    exit 1
}
if [ ! -x "$target" ]; then
    echo "Building ${package##*/} (once; large ones take a few minutes) ..." >&2
    mkdir -p "$(dirname "$target")"
    draft="$target.$$"
    trap 'rm -f "$draft"' EXIT
    CGO_ENABLED=0 go build -o "$draft" -trimpath -ldflags "-s -w $ldflags" "$package"
    mv "$draft" "$target"
fi
# Newer than go.mod, or make would come back each time.
touch "$target"
