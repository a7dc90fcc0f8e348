"""Images of what runs beside ours in a cluster, for machines that reach no registry of images."""

import fcntl
import os
import subprocess
from pathlib import Path

from modelops.core.tools import find_registry, tool_cache
from testcluster.images import Image, write_archive

_BASE = Path(__file__).parents[1] / "tools" / "images" / "base.sh"
_POSTGRES = "localhost/modelops-test-postgres:1"
_INSTALL = (
    "mkdir -p /etc/postgresql-common && "
    "echo create_main_cluster=false >/etc/postgresql-common/createcluster.conf && "
    "apt-get -q update && "
    "apt-get -q install -y --no-install-recommends postgresql && "
    "rm -rf /var/lib/apt/lists/*"
)


def registry_archive(folder: Path) -> Path:
    """Write an OCI archive with the registry that `make registry` built, and return it."""
    image = Image("modelops.test/registry:1", {"bin/registry": find_registry()}, [])
    return write_archive(image, folder / "registry.tar")


def postgres_archive(folder: Path) -> Path:
    """Write an OCI archive with this machine's release's PostgreSQL, and return it.

    It is built once (a minute), and kept by buildah.
    """
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def run(*command: str | Path) -> str:
        return subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    with (tool_cache() / "image-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not run("buildah", "images", "--quiet", "--filter", f"reference={_POSTGRES}"):
            container = run("buildah", "from", run(_BASE, tool_cache()))
            try:
                run("buildah", "run", container, "--", "sh", "-ec", _INSTALL)
                run("buildah", "commit", "--quiet", container, _POSTGRES)
            finally:
                run("buildah", "rm", container)
    archive = folder / "postgres.tar"
    archive.unlink(missing_ok=True)
    run("buildah", "push", "--quiet", _POSTGRES, f"oci-archive:{archive}")
    return archive
