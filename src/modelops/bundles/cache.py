"""Unpacked bundles on this machine, by digest, shared by every process of it."""

import errno
import os
from pathlib import Path

from modelops.bundles.artifact import ImageManifest
from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.entry import Entry, OpenBundle, hold
from modelops.bundles.eviction import (
    SIZE_VARIABLE,
    allowed_bytes,
    evict,
    making_lock,
    new_staging,
    remove_leftovers,
    remove_staging,
)
from modelops.bundles.pulling import pull_layers
from modelops.bundles.receiving import Progress
from modelops.bundles.unpack import UnpackLimits
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

_FULL = (errno.ENOSPC, errno.EDQUOT)


class BundleCache:
    """A directory of bundles: `{digest}/tree/{name}/…` beside `{digest}/entry.json`.

    An entry appears by one rename, whole and verified, and goes by one. It is opened by a
    fingerprint of its files' names, sizes, times and modes, without reading them. `__pycache__` has
    no say in it: Python writes there when a bundle's code is imported.

    When an entry was made and all are together larger than the cache may be, those go that weren't
    opened for longest, but none that a process has open.
    """

    def __init__(
        self, root: Path, limits: UnpackLimits | None = None, max_bytes: int | None = None
    ) -> None:
        """Make a cache.

        Args:
            root: its directory, made when the first bundle is fetched.
            limits: how much one bundle may be.
            max_bytes: how large it may grow; without it MODELOPS_BUNDLE_CACHE_BYTES says so, or
                it's 20 GiB.

        Raises:
            BundleError: if MODELOPS_BUNDLE_CACHE_BYTES is no number.
        """
        self._root = root
        self._limits = limits
        self._max_bytes = allowed_bytes(os.environ) if max_bytes is None else max_bytes
        self._fetched: dict[str, OpenBundle] = {}

    def fetch(self, ref: BundleRef, store: BundleStore, progress: Progress | None = None) -> Path:
        """Return the directory of a bundle, which stays there until this process has ended.

        What is used for a shorter time is opened.

        Raises:
            BundleError: as for `open`.
        """
        bundle = self.open(ref, store, progress)
        before = self._fetched.get(ref.digest)
        self._fetched[ref.digest] = bundle
        if before is not None:
            is_other = not os.path.sameopenfile(before.descriptor, bundle.descriptor)
            before.close()
            if is_other:
                remove_leftovers(self._root)
        return bundle.folder

    def open(
        self, ref: BundleRef, store: BundleStore, progress: Progress | None = None
    ) -> OpenBundle:
        """Open a bundle, fetched from `store` if it isn't here or was altered.

        Whoever else fetches the same bundle at the same time waits and takes what is there then.

        Args:
            ref: the bundle.
            store: where it is.
            progress: told of the bytes that come, if any do; from several threads at once.

        Raises:
            BundleError: if the bundle isn't there, isn't what its digest says, or can't be
                unpacked here (no space, no permission).
        """
        entry = Entry(self._root / ref.digest.replace(":", "-"))
        try:
            return entry.open() or self._make(entry, ref, store, progress)
        except OSError as error:
            if error.errno in _FULL:
                raise BundleError(
                    f"{ref} can't be unpacked: the disk of {self._root} is full.",
                    hint="Free some space there. The cache keeps what was used last, up to "
                    f"{self._max_bytes:,} bytes; set {SIZE_VARIABLE} to keep less.",
                ) from error
            raise BundleError(
                f"{ref} can't be unpacked in {self._root}: {error}",
                hint="Check the permissions there.",
            ) from error

    def _make(
        self, entry: Entry, ref: BundleRef, store: BundleStore, progress: Progress | None
    ) -> OpenBundle:
        """Make an entry, alone; or open the one that somebody else has made meanwhile."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with making_lock(self._root, entry.path.name):
            bundle = entry.open()
            if bundle is not None:
                return bundle
            remove_staging(self._root, entry.path.name)
            try:
                bundle = self._unpack(entry, ref, store, progress)
            except OSError as error:
                if error.errno not in _FULL or not evict(self._root, 0):
                    raise
                bundle = self._unpack(entry, ref, store, progress)
        try:
            remove_leftovers(self._root)
            evict(self._root, self._max_bytes)
        except BaseException:
            bundle.close()
            raise
        return bundle

    def _unpack(
        self, entry: Entry, ref: BundleRef, store: BundleStore, progress: Progress | None
    ) -> OpenBundle:
        staging = new_staging(self._root, entry.path.name)
        try:
            made = Entry(staging)
            made.tree.mkdir()
            manifest = ImageManifest.parse(store.read_manifest(ref))
            pull_layers(
                ref, manifest, store, made.tree, staging, limits=self._limits, progress=progress
            )
            name = made.seal()
            if entry.path.exists():
                entry.path.rename(new_staging(self._root, entry.path.name))
            staging.rename(entry.path)
            bundle = hold(entry.tree / name)
        finally:
            remove_staging(self._root, entry.path.name)
        if bundle is None:
            raise BundleError(
                f"{ref} was removed from {self._root} as soon as it was there.",
                hint="Nothing but ModelOps may write there.",
            )
        return bundle
