"""Bringing blobs to a repository of a registry: only what isn't there, several at once."""

import functools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from modelops.bundles.artifact import FILE_MEDIA_TYPE, TITLE, Descriptor, digest_of
from modelops.bundles.packing import Chunks, PackedBlob, UnhashedBlob
from modelops.bundles.parallel import in_parallel
from modelops.bundles.progress import TransferProgress
from modelops.bundles.pushed_blobs import PushedBlobs
from modelops.bundles.reading import BlobSource, FileReading, MemoryReading
from modelops.bundles.transport import RegistryTransport
from modelops.bundles.upload import BlobUpload
from modelops.core.errors import BundleChangedError

IN_MEMORY_BYTES = 8 * 2**20
"""A blob of no more is held in memory from when it's read until it's sent."""


class RepositoryUploads:
    """The blobs of one repository, as far as this process brought them there.

    Attributes:
        has_sent: whether there was one that it hadn't.
    """

    def __init__(self, transport: RegistryTransport, path: str) -> None:
        """Make it; nothing is sent yet.

        Args:
            transport: to the registry.
            path: of the repository, with /v2/.
        """
        self._transport = transport
        self._path = path
        self._pushed = PushedBlobs(transport.host)
        self._there: set[str] = set()
        self._sent: list[Descriptor] = []
        self._reading = threading.Lock()
        self.has_sent = False

    def add(
        self, blobs: Sequence[UnhashedBlob], progress: TransferProgress
    ) -> Iterator[tuple[int, PackedBlob]]:
        """Bring blobs there that nobody has hashed yet; see `BundleStore.add_blobs`.

        A repository that holds no bundle is taken to hold none of them. So each is read once: a
        small one is held in memory, and a large one is sent while it's hashed. Elsewhere a large
        one is read twice, since it is hashed before it's known whether it is there.
        """
        # One request that saves one for each blob, or the second reading of a large one.
        pays = len(blobs) > 2 or any(_is_large(blob) for blob in blobs)
        # The largest first, so that it isn't waited for alone at the end.
        order = sorted(range(len(blobs)), key=lambda index: -blobs[index].size)
        with ThreadPoolExecutor(1) as asking, self._noting():
            # Small blobs are read already while the registry answers.
            is_new = asking.submit(lambda: pays and self._holds_nothing())
            work = functools.partial(self._add, progress, is_new)
            for place, packed in in_parallel(work, [blobs[index] for index in order]):
                yield order[place], packed

    def put(self, blobs: Sequence[PackedBlob], progress: TransferProgress) -> None:
        """Bring blobs there, unless they are.

        Raises:
            BundleChangedError: if one isn't what it was when it was hashed.
            BundleError: if the registry can't be reached, or refuses them.
        """
        waiting = [blob for blob in blobs if blob.descriptor.digest not in self._there]
        with self._noting():
            for _ in in_parallel(functools.partial(self._put, progress), waiting):
                pass

    def _add(
        self, progress: TransferProgress, is_new: Future[bool], blob: UnhashedBlob
    ) -> PackedBlob:
        if not _is_large(blob):
            data = self._read(blob.chunks)
            packed = blob.packed(digest_of(data), len(data))
            if is_new.result() or not self._is_there(packed):
                self._send(packed, data, progress)
        elif is_new.result() and not self._pushed.may_hold(blob.size):
            digest = self._upload(
                _source(blob.annotations, blob.size, blob.chunks), progress
            ).stream()
            packed = blob.packed(digest, blob.size)
            self._note(packed)
        else:
            packed = blob.hashed()
            self._put(progress, packed)
        return packed

    def _put(self, progress: TransferProgress, blob: PackedBlob) -> None:
        if self._is_there(blob):
            return
        data = None
        if blob.descriptor.size <= IN_MEMORY_BYTES:
            data = self._read(blob.chunks)
            if digest_of(data) != blob.descriptor.digest:
                raise BundleChangedError(_name(blob.descriptor.annotations))
        self._send(blob, data, progress)

    def _send(self, blob: PackedBlob, data: bytes | None, progress: TransferProgress) -> None:
        digest, annotations = blob.descriptor.digest, blob.descriptor.annotations
        if data is None:
            source = _source(annotations, blob.descriptor.size, blob.chunks)
        else:
            source = BlobSource(_name(annotations), len(data), lambda: MemoryReading(data, digest))
        self._upload(source, progress).send(digest, self._pushed.elsewhere(digest, self._path))
        self._note(blob)

    def _upload(self, source: BlobSource, progress: TransferProgress) -> BlobUpload:
        return BlobUpload(self._transport, self._path, source, progress)

    def _note(self, blob: PackedBlob) -> None:
        self.has_sent = True
        self._there.add(blob.descriptor.digest)
        self._sent.append(blob.descriptor)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what is sent meanwhile, all at once: to write it for each blob takes too long."""
        try:
            yield
        finally:
            self._pushed.note(self._sent, self._path)
            self._sent.clear()

    def _read(self, chunks: Chunks) -> bytes:
        # Threads that all open small files get in each other's way.
        with self._reading:
            return b"".join(chunks())

    def _is_there(self, blob: PackedBlob) -> bool:
        digest = blob.descriptor.digest
        if self._transport.request("HEAD", f"{self._path}/blobs/{digest}").ok:
            self._there.add(digest)
            return True
        return False

    def _holds_nothing(self) -> bool:
        answer = self._transport.request("GET", f"{self._path}/tags/list?n=1")
        try:
            return answer.status_code == 404 or not answer.json().get("tags")
        except (ValueError, AttributeError):
            # What isn't a list is an error for those who want to read it.
            return False


def _is_large(blob: UnhashedBlob) -> bool:
    # An archive never is, and its size isn't known before it's made.
    return blob.media_type == FILE_MEDIA_TYPE and blob.size > IN_MEMORY_BYTES


def _name(annotations: dict[str, str]) -> str:
    return annotations.get(TITLE, "The bundle's config")


def _source(annotations: dict[str, str], size: int, chunks: Chunks) -> BlobSource:
    return BlobSource(_name(annotations), size, lambda: FileReading(chunks()))
