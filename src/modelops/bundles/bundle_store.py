"""The interface of what keeps bundles, over registries and directories alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from modelops.bundles.artifact import Descriptor
from modelops.bundles.packing import PackedBlob, PackedBundle, UnhashedBlob
from modelops.bundles.progress import UNWATCHED, TransferProgress
from modelops.bundles.receiving import Progress
from modelops.bundles.referrers import ListedReferrer, Referrer
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

    def add_blobs(
        self,
        repository: str,
        blobs: Sequence[UnhashedBlob],
        progress: TransferProgress = UNWATCHED,
    ) -> Iterator[tuple[int, PackedBlob]]:
        """Store blobs while they are hashed, to read them once only.

        They come back as soon as each is known, after their index in `blobs`. What is stored is
        there for the bundle that is pushed next; without one it is nobody's.

        Raises:
            BundleError: if one can't be stored.
            ContractError: if `repository` isn't a repository's name.
        """
        ...

    def push(
        self,
        repository: str,
        packed: PackedBundle,
        progress: TransferProgress = UNWATCHED,
    ) -> BundleRef:
        """Store a bundle and tag it with its version; an older bundle loses that tag.

        Raises:
            BundleChangedError: if a blob isn't what it was when it was packed.
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

    def fetch_blob(
        self, ref: BundleRef, descriptor: Descriptor, target: Path, progress: Progress | None = None
    ) -> None:
        """Write a blob of the bundle `ref` to the file `target`, which is replaced if it exists.

        Raises:
            BundleError: if it isn't there, can't be read or was altered; `target` may then hold
                a part of it.
            OSError: if `target` can't be written.
        """
        ...

    def read_blob(
        self, ref: BundleRef, descriptor: Descriptor, progress: Progress | None = None
    ) -> memoryview:
        """Return a blob of the bundle `ref`, whose size the caller finds small enough.

        Raises:
            BundleError: as for `fetch_blob`.
        """
        ...

    def resolve(self, repository: str, tag: str) -> BundleRef:
        """Return the bundle that a tag names now.

        Raises:
            BundleError: if there is no such tag (with a near miss).
        """
        ...

    def list_repositories(self) -> list[str]:
        """Return the repositories that hold something, sorted.

        Raises:
            BundleError: if they can't be listed; many registries forbid it.
        """
        ...

    def list_bundles(self, repository: str) -> list[StoredBundle]:
        """Return the bundles of a repository, sorted by tag; none if it doesn't exist.

        A registry lists only what has a tag.
        """
        ...

    def push_referrer(self, ref: BundleRef, referrer: Referrer) -> None:
        """Store a referrer of the bundle `ref` and have it listed; nothing if it is already.

        Others who add referrers at the same time lose theirs no more than we do ours.

        Raises:
            BundleError: if it can't be stored.
        """
        ...

    def list_referrers(self, ref: BundleRef) -> list[ListedReferrer]:
        """Return the referrers of a bundle, of any kind; none if the bundle isn't there.

        It's a list that anybody may have written who may write there: `find_referrers` reads and
        checks what it names.

        Raises:
            BundleError: if the list can't be read, or is longer than `MAX_LISTED`.
        """
        ...
