"""From a URL to the store that keeps bundles there."""

from pathlib import Path

from modelops.bundles.bundle_store import BundleStore, StoredBundle
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

__all__ = ["BundleStore", "StoredBundle", "open_store", "store_of"]

LAYOUT_SCHEME = "oci-layout://"
REGISTRY_SCHEME = "oci://"


def open_store(url: str) -> BundleStore:
    """Return the store that a URL names.

    `oci-layout:///absolute/path` is a directory; `oci://host[:port][/prefix]`, or the same without
    `oci://`, is a registry, where repositories' names begin with the prefix.

    Raises:
        BundleError: if the URL has another form.
    """
    # Each kind is imported when it's needed: what speaks to a registry takes long to import.
    if url.startswith(LAYOUT_SCHEME):
        from modelops.bundles.layout_store import LayoutStore  # noqa: PLC0415

        path = url.removeprefix(LAYOUT_SCHEME)
        if not path.startswith("/"):
            raise BundleError(
                f"{url!r} has no absolute path.", hint="Write oci-layout:///absolute/path."
            )
        return LayoutStore(Path(path))
    if "://" in url.removeprefix(REGISTRY_SCHEME):
        raise BundleError(
            f"{url!r} isn't a bundle registry.",
            hint="Write oci://host, oci://host:port/prefix or oci-layout:///absolute/path.",
        )
    from modelops.bundles.registry_store import RegistryStore  # noqa: PLC0415

    return RegistryStore(url.removeprefix(REGISTRY_SCHEME))


def store_of(ref: BundleRef, default_url: str) -> BundleStore:
    """Return the store that holds a bundle: its own host's, else that of the environment.

    Raises:
        BundleError: if the environment's URL isn't one.
    """
    return open_store(default_url if ref.host is None else f"{REGISTRY_SCHEME}{ref.host}")
