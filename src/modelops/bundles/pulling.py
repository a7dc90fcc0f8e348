"""From a bundle's manifest to its files: layers come side by side, and each is checked first."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from modelops.bundles.artifact import (
    ARCHIVE_MEDIA_TYPE,
    FILE_MEDIA_TYPE,
    MODE,
    TITLE,
    Descriptor,
    ImageManifest,
)
from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.receiving import Progress
from modelops.bundles.unpack import Unpacker, UnpackLimits
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

IN_MEMORY_BYTES = 16 * 2**20
"""An archive up to this size is unpacked from memory; a larger one is a file until then."""

_FILES_AT_ONCE, _ARCHIVES_AT_ONCE = 4, 3

_Fetched = TypeVar("_Fetched")


def pull_layers(
    ref: BundleRef,
    manifest: ImageManifest,
    store: BundleStore,
    target: Path,
    scratch: Path,
    *,
    limits: UnpackLimits | None = None,
    progress: Progress | None = None,
) -> None:
    """Fetch the layers of a bundle and unpack them.

    No byte of an archive is looked at before its digest is right. After an error `target` holds a
    part of the bundle, maybe one that wasn't checked: it has to be removed.

    Args:
        ref: the bundle.
        manifest: its manifest, whose digest is right.
        store: where it is.
        target: an empty directory that nobody uses yet.
        scratch: a directory on the same disk, for archives that don't fit into the memory.
        limits: how much it may be.
        progress: told of the bytes that come, from several threads at once.

    Raises:
        BundleError: if a layer isn't there, isn't what its digest says, or can't be unpacked.
        OSError: if something can't be written.
    """
    archives = [layer for layer in manifest.layers if layer.media_type == ARCHIVE_MEDIA_TYPE]
    files = [layer for layer in manifest.layers if layer.media_type == FILE_MEDIA_TYPE]
    for layer in manifest.layers:
        if layer.media_type not in (ARCHIVE_MEDIA_TYPE, FILE_MEDIA_TYPE):
            raise BundleError(
                f"{ref} has a layer of the type {layer.media_type}, which isn't known.",
                hint="A newer version of ModelOps may have made it: update this one.",
            )
    unpacker = Unpacker(target, limits)
    # Before anything is fetched: what is too large or has a bad name is refused at once.
    places = {
        unpacker.add_file(layer.annotations.get(TITLE, ""), layer.size, _mode(layer)): layer
        for layer in files
    }
    with _Downloads(ref, store, progress) as downloads:
        # The largest first, so that no thread is left alone with it.
        for place, layer in sorted(places.items(), key=lambda item: -item[1].size):
            downloads.file(layer, place)
        for archive in downloads.archives(archives, scratch):
            unpacker.add_archive(archive)
            if isinstance(archive, Path):
                archive.unlink()
        downloads.wait()


class _Downloads:
    """Downloads in a few threads; all end when one of them, or what is done with them, fails."""

    def __init__(self, ref: BundleRef, store: BundleStore, progress: Progress | None) -> None:
        self._ref = ref
        self._store = store
        self._progress = progress
        self._is_over = threading.Event()
        self._file_threads = ThreadPoolExecutor(_FILES_AT_ONCE, "bundle-files")
        self._archive_threads = ThreadPoolExecutor(_ARCHIVES_AT_ONCE, "bundle-archives")
        self._files: list[Future[None]] = []
        self._failing = threading.Lock()
        self._failure: Exception | None = None

    def file(self, layer: Descriptor, place: Path) -> None:
        """Fetch a file to where it belongs."""
        self._files.append(self._file_threads.submit(self._run, self._fetch, layer, place))

    def archives(self, layers: Iterable[Descriptor], scratch: Path) -> Iterator[Path | memoryview]:
        """Yield archives in their order, a few of them in advance: files, or bytes in memory."""
        left = iter(enumerate(layers))
        coming: deque[Future[Path | memoryview]] = deque()
        while True:
            for index, layer in islice(left, _ARCHIVES_AT_ONCE - len(coming)):
                place = scratch / f"layer-{index}"
                coming.append(self._archive_threads.submit(self._run, self._archive, layer, place))
            if not coming:
                return
            yield self._result(coming.popleft())

    def wait(self) -> None:
        """Wait until all files are there."""
        for future in self._files:
            self._result(future)

    def __enter__(self) -> "_Downloads":
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        for threads in (self._archive_threads, self._file_threads):
            threads.shutdown(cancel_futures=True)

    def _archive(self, layer: Descriptor, place: Path) -> Path | memoryview:
        if layer.size <= IN_MEMORY_BYTES:
            return self._store.read_blob(self._ref, layer, self._watch)
        self._fetch(layer, place)
        return place

    def _fetch(self, layer: Descriptor, place: Path) -> None:
        self._store.fetch_blob(self._ref, layer, place, self._watch)

    def _watch(self, count: int) -> None:
        if self._is_over.is_set():
            raise BundleError(f"The download of {self._ref} was ended.")
        if self._progress is not None:
            self._progress(count)

    def _run(
        self, fetch: Callable[[Descriptor, Path], _Fetched], layer: Descriptor, place: Path
    ) -> _Fetched:
        try:
            return fetch(layer, place)
        except Exception as error:
            with self._failing:
                self._failure = self._failure or error
            self._is_over.set()
            raise

    def _result(self, future: "Future[_Fetched]") -> _Fetched:
        error = future.exception()
        if error is None:
            return future.result()
        # The others were ended for the first that failed.
        raise self._failure or error


def _mode(layer: Descriptor) -> int:
    text = layer.annotations.get(MODE, "0644")
    try:
        return int(text, 8)
    except ValueError:
        raise BundleError(f"A layer of the bundle has the mode {text!r}.") from None
