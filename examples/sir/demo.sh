#!/usr/bin/env bash
# The main job in a MODELOPS_HOME of its own: up, follow, show the fit, down. Leaves the picture only.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mops() { "$root/.venv/bin/mops" --config "$here/runtime.yaml" "$@"; }

MODELOPS_HOME=$(mktemp -d "${TMPDIR:-/tmp}/mops-demo.XXXXXX")
export MODELOPS_HOME
# Whatever the user works with otherwise stays out of this.
unset MODELOPS_BUNDLE_REGISTRY PULUMI_BACKEND_URL PULUMI_HOME \
    PULUMI_CONFIG_PASSPHRASE PULUMI_CONFIG_PASSPHRASE_FILE
finish() {
    status=$?
    trap - EXIT
    echo "== mops down --delete-data"
    if mops down --delete-data --yes; then
        rm -rf "$MODELOPS_HOME"
    else
        echo "What is left is in $MODELOPS_HOME" >&2
        status=1
    fi
    exit "$status"
}
trap finish EXIT

echo "== mops up"
run_id=$(mops up)
echo "== mops adaptive status --watch --run-id $run_id"
mops adaptive status --watch --run-id "$run_id"
echo "== mops adaptive results, and the model's own plot"
mops adaptive results --run-id "$run_id" --output "$MODELOPS_HOME/trials.parquet"
"$root/.venv/bin/python" "$here/show_fit.py" "$MODELOPS_HOME/trials.parquet" "$root/sir-fit.png"
