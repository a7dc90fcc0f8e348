"""From a URL to the store that keeps bundles there."""

from dataclasses import replace
from pathlib import Path

from modelops.bundles.access import PASSWORD_VARIABLE, USERNAME_VARIABLE, RegistryAccess
from modelops.bundles.bundle_store import BundleStore, StoredBundle
from modelops.contracts import BundleRef, BundleTag
from modelops.core.errors import BundleError

__all__ = [
    "BundleStore",
    "RegistryAccess",
    "StoredBundle",
    "layout_folder",
    "open_store",
    "resolve",
    "store_of",
]

LAYOUT_SCHEME = "oci-layout:"
REGISTRY_SCHEME = "oci://"


def open_store(where: str | RegistryAccess) -> BundleStore:
    """Return the store that a URL names, or the registry that is reached as `where` says.

    `oci-layout:///absolute/path`, or the same with one slash, is a directory;
    `oci://host[:port][/prefix]`, or the same without `oci://`, is a registry, where repositories'
    names begin with the prefix.

    Raises:
        BundleError: if the URL has another form.
    """
    access = RegistryAccess(where) if isinstance(where, str) else where
    url = access.url
    folder = layout_folder(url)
    # Each kind is imported when it's needed: what speaks to a registry takes long to import.
    if folder is not None:
        from modelops.bundles.layout_store import LayoutStore  # noqa: PLC0415

        return LayoutStore(folder)
    if "@" in url:
        raise BundleError(
            "The address of the bundle registry holds a user or a password.",
            hint=f"Name the host alone, and log in with: docker login HOST\n"
            f"or set {USERNAME_VARIABLE} and {PASSWORD_VARIABLE}.",
        )
    if "://" in url.removeprefix(REGISTRY_SCHEME):
        raise BundleError(
            f"{url!r} isn't a bundle registry.",
            hint="Write oci://host, oci://host:port/prefix or oci-layout:///absolute/path.",
        )
    from modelops.bundles.registry_store import RegistryStore  # noqa: PLC0415

    return RegistryStore(url.removeprefix(REGISTRY_SCHEME), access)


def layout_folder(url: str) -> Path | None:
    """Return the directory that a URL names; None if it names something else.

    Raises:
        BundleError: if the directory isn't an absolute path.
    """
    if not url.startswith(LAYOUT_SCHEME):
        return None
    path = url.removeprefix(LAYOUT_SCHEME)
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/") or path.startswith("//"):
        raise BundleError(
            f"{url!r} has no absolute path.", hint="Write oci-layout:///absolute/path."
        )
    return Path(path)


def store_of(reference: BundleRef | BundleTag, default: str | RegistryAccess) -> BundleStore:
    """Return the store that holds a bundle: that of its place, else that of the environment.

    Raises:
        BundleError: if the environment's URL isn't one.
    """
    return open_store(access_of(reference, default))


def access_of(reference: BundleRef | BundleTag, default: str | RegistryAccess) -> RegistryAccess:
    """Return how the store that holds a bundle is reached.

    Only the environment's own registry gets its user and password.
    """
    if reference.layout is not None:
        return RegistryAccess(f"{LAYOUT_SCHEME}//{reference.layout}")
    access = RegistryAccess(default) if isinstance(default, str) else default
    if reference.host is None:
        return access
    own_host, _, prefix = access.url.removeprefix(REGISTRY_SCHEME).partition("/")
    whole = f"{REGISTRY_SCHEME}{reference.host}"
    if reference.host != own_host:
        return RegistryAccess(whole)
    # With a host the name is whole: a prefix of the environment's is part of it already.
    return replace(access, url=whole) if prefix else access


def resolve(reference: BundleRef | BundleTag, default: str | RegistryAccess) -> BundleRef:
    """Return the bundle that a reference names: that of the digest, or the one of the tag now.

    Raises:
        BundleError: if there is no such tag, or its store can't be read.
    """
    if isinstance(reference, BundleRef):
        return reference
    found = store_of(reference, default).resolve(reference.repository, reference.tag)
    return reference.pinned(found.digest)
