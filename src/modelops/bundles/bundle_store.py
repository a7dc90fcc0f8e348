"""The interface of what keeps bundles, over registries and directories alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from modelops.bundles.artifact import Descriptor
from modelops.bundles.packing import PackedBundle
from modelops.contracts import BundleRef


@dataclass(frozen=True)
class StoredBundle:
    """A bundle of a store, and the tag that names it; None if it lost its tag to a newer one."""

    ref: BundleRef
    tag: str | None


@runtime_checkable
class BundleStore(Protocol):
    """Keeps bundles by digest.

    Guarantees:
    - What is read has the digest and the size that it should have, or an error says so.
    - A bundle is there whole or not at all: its manifest is stored after all that it names.
    - Pushing what is there already changes nothing.
    - References that it returns have no host: they belong to the store of the environment.
    """

    def push(self, repository: str, packed: PackedBundle) -> BundleRef:
        """Store a bundle and tag it with its version; an older bundle loses that tag.

        Raises:
            BundleError: if it can't be stored.
            ContractError: if `repository` isn't a repository's name.
        """
        ...

    def read_manifest(self, ref: BundleRef) -> bytes:
        """Return the OCI manifest that `ref` pins.

        Raises:
            BundleError: if it isn't there, can't be read or was altered.
        """
        ...

    def fetch_blob(self, ref: BundleRef, descriptor: Descriptor, target: Path) -> None:
        """Write a blob of the bundle `ref` to the file `target`, which is replaced if it exists.

        Raises:
            BundleError: if it isn't there, can't be read or was altered; `target` may then hold
                a part of it.
        """
        ...

    def resolve(self, repository: str, tag: str) -> BundleRef:
        """Return the bundle that a tag names now.

        Raises:
            BundleError: if there is no such tag (with a near miss).
        """
        ...

    def list_repositories(self) -> list[str]:
        """Return the repositories that hold something, sorted."""
        ...

    def list_bundles(self, repository: str) -> list[StoredBundle]:
        """Return the bundles of a repository, sorted by tag; none if it doesn't exist.

        A registry lists only what has a tag.
        """
        ...
