"""What a store holds: repositories, and the bundles of each."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelops.bundles.artifact import ImageManifest
from modelops.bundles.bundle_store import BundleStore, StoredBundle
from modelops.core.errors import BundleError, BundleNotThereError


@dataclass(frozen=True)
class ListedBundle:
    """A bundle of a repository; `size` is that of manifest and blobs in bytes.

    It is None if nobody asked, or if what the tag names isn't a bundle.
    """

    stored: StoredBundle
    size: int | None = None


@dataclass(frozen=True)
class ListedRepository:
    """A repository, and its bundles by tag; there may be none."""

    name: str
    bundles: tuple[ListedBundle, ...]


def list_repository(store: BundleStore, repository: str, *, sizes: bool) -> ListedRepository:
    """Return the bundles of one repository.

    Args:
        store: where it is.
        repository: its name.
        sizes: whether to read each bundle's manifest, a request each.

    Raises:
        BundleNotThereError: if it holds no bundle, which is all that can be said of one that
            doesn't exist.
        BundleError: if the store can't be read.
    """
    found = _bundles(store, repository, sizes=sizes)
    if not found.bundles:
        raise BundleNotThereError(
            f"There is no bundle in the repository {repository}, or none with a tag.",
            hint="List the repositories with: mops bundle list",
        )
    return found


def list_repositories(
    store: BundleStore, prefix: str, *, sizes: bool
) -> Iterator[ListedRepository]:
    """Yield the repositories below a prefix (`team/bundles`; empty for all), sorted by name.

    Raises:
        BundleError: if the store can't be read, or doesn't list its repositories.
    """
    for name in store.list_repositories():
        if not prefix or name.startswith(f"{prefix}/"):
            yield _bundles(store, name, sizes=sizes)


def _bundles(store: BundleStore, repository: str, *, sizes: bool) -> ListedRepository:
    stored = store.list_bundles(repository)
    listed = (ListedBundle(item, _size(store, item) if sizes else None) for item in stored)
    return ListedRepository(repository, tuple(listed))


def _size(store: BundleStore, stored: StoredBundle) -> int | None:
    data = store.read_manifest(stored.ref)
    try:
        manifest = ImageManifest.parse(data)
    except BundleError:
        # A tag of something else than a bundle: a registry is often shared.
        return None
    return len(data) + sum(part.size for part in (manifest.config, *manifest.layers))
