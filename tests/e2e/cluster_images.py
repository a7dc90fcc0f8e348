"""The images of all that runs in a cluster's environments, in the registry that it pulls from."""

from pathlib import Path

from built_images import BuiltImages
from service_images import postgres_archive, registry_archive
from testcluster import Access


def push_images(cluster: Access, built: BuiltImages, folder: Path) -> dict[str, str]:
    """Push them, by a folder for what is on the way; return part → reference by digest."""
    ours = {
        name: cluster.push_image(built.layout(name), f"modelops/{name}")
        for name in ("scheduler", "worker", "runner")
    }
    return {
        **ours,
        "registry": cluster.push_image(registry_archive(folder), "test/registry"),
        "postgres": cluster.push_image(postgres_archive(folder), "test/postgres"),
    }
