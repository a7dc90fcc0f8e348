"""A directory of OCI image layouts, one a repository: bundles without a server.

Format: OCI image spec 1.1, "Image Layout". Other OCI tools read it. Only our own writers are safe
at the same time, because the index of a layout isn't made for concurrent writers.
"""

import functools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from modelops.bundles.artifact import (
    ARCHIVE_MEDIA_TYPE,
    ARTIFACT_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
    INDEX_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    REF_NAME,
    TITLE,
    Descriptor,
    check_bytes,
    tag_of,
    write_checked,
)
from modelops.bundles.blob_source import BlobSource
from modelops.bundles.bundle_store import StoredBundle
from modelops.bundles.files import draft_beside, sync_directory, write_atomically
from modelops.bundles.layout_referrers import index_entry, referrers_of
from modelops.bundles.packing import PackedBlob, PackedBundle, UnhashedBlob
from modelops.bundles.parallel import in_parallel
from modelops.bundles.progress import UNWATCHED, TransferProgress
from modelops.bundles.reading import FileReading
from modelops.bundles.receiving import BlobReceiver
from modelops.bundles.referrers import ListedReferrer, Referrer
from modelops.contracts import BundleRef, canonical_json
from modelops.contracts.bundles import check_digest, check_repository
from modelops.core.errors import (
    BundleChangedError,
    BundleError,
    BundleFileError,
    BundleNotThereError,
)
from modelops.core.near_miss import did_you_mean_or_all

_LAYOUT, _INDEX, _BLOBS, _LOCK = "oci-layout", "index.json", "blobs", ".lock"
# One reads while another waits for the disk; more were slower.
_THREADS = 2
_ANY_DIGEST = f"sha256:{'0' * 64}"
_LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutStore(BlobSource):
    """Bundles in a directory. Pulling by digest doesn't read a layout's index."""

    def __init__(self, root: Path) -> None:
        """Make a store.

        Args:
            root: an absolute path; it is made when the first bundle is pushed.
        """
        self._root = root
        self._reading = threading.Lock()

    def add_blobs(
        self,
        repository: str,
        blobs: Sequence[UnhashedBlob],
        progress: TransferProgress = UNWATCHED,
    ) -> Iterator[tuple[int, PackedBlob]]:
        """Store blobs while they are hashed; see `BundleStore.add_blobs`."""
        layout = self._layout(repository)
        return in_parallel(functools.partial(self._add, layout, progress), blobs, _THREADS)

    def push(
        self,
        repository: str,
        packed: PackedBundle,
        progress: TransferProgress = UNWATCHED,
    ) -> BundleRef:
        """Store a bundle; see `BundleStore.push`."""
        layout = self._layout(repository)
        try:
            folder = self._blob(layout, packed.digest).parent
            folder.mkdir(parents=True, exist_ok=True)
            for _ in in_parallel(
                functools.partial(self._store, layout, progress=progress), packed.blobs, _THREADS
            ):
                pass
            path = self._blob(layout, packed.digest)
            if not path.exists():
                write_atomically(path, packed.manifest)
            with FileLock(layout / _LOCK):
                _add_to_index(layout, packed, folder)
        except OSError as error:
            raise BundleError(f"The bundle can't be stored in {layout}: {error}") from error
        return BundleRef(repository, packed.digest)

    def read_manifest(self, ref: BundleRef) -> bytes:
        """Return a bundle's manifest; see `BundleStore.read_manifest`."""
        path = self._blob(self._layout_of(ref), ref.digest)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_MANIFEST_BYTES + 1)
        except FileNotFoundError:
            raise BundleNotThereError(
                f"There is no bundle {ref} in {self._root}.",
                hint="List what is there with: mops bundle list",
            ) from None
        except OSError as error:
            raise BundleError(f"{path} can't be read: {error}") from error
        try:
            return check_bytes(data, ref.digest, str(path))
        except BundleError as error:
            raise _altered(error, path) from error

    def _place_of(self, ref: BundleRef, descriptor: Descriptor) -> str:
        return str(self._blob(self._layout_of(ref), descriptor.digest))

    def _read_into(self, receiver: BlobReceiver, ref: BundleRef, descriptor: Descriptor) -> None:
        path = self._blob(self._layout_of(ref), descriptor.digest)
        try:
            source = path.open("rb", buffering=0)
        except OSError as error:
            raise BundleError(f"{path} can't be read: {error}") from error
        try:
            with source:
                receiver.take(source)
            receiver.finish()
        except BundleError as error:
            raise _altered(error, path) from error

    def resolve(self, repository: str, tag: str) -> BundleRef:
        """Return the bundle of a tag; see `BundleStore.resolve`."""
        tags = {item.tag: item.ref for item in self.list_bundles(repository) if item.tag}
        if tag not in tags:
            raise BundleNotThereError(
                f"There is no {repository}:{tag} in {self._root}.",
                hint=did_you_mean_or_all(tag, tags),
            )
        return tags[tag]

    def list_repositories(self) -> list[str]:
        """Return the repositories; see `BundleStore.list_repositories`."""
        found = []
        for directory, names, files in os.walk(self._root):
            if _LAYOUT in files:
                found.append(Path(directory).relative_to(self._root).as_posix())
                # Repositories may be nested; what is in a layout is none.
                names[:] = [name for name in names if name != _BLOBS]
        return sorted(found)

    def list_bundles(self, repository: str) -> list[StoredBundle]:
        """Return a repository's bundles; see `BundleStore.list_bundles`."""
        layout = self._layout(repository)
        entries = _read_index(layout)["manifests"]
        bundles = [
            StoredBundle(
                BundleRef(repository, entry["digest"]),
                (entry.get("annotations") or {}).get(REF_NAME),
            )
            for entry in entries
            if self._is_bundle(layout, entry)
        ]
        return sorted(bundles, key=lambda item: (item.tag is None, item.tag or "", item.ref.digest))

    def push_referrer(self, ref: BundleRef, referrer: Referrer) -> None:
        """Store a referrer; see `BundleStore.push_referrer`."""
        layout = self._layout_of(ref)
        path = self._blob(layout, referrer.listed.digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for blob in referrer.blobs:
                self._store(layout, blob)
            if not path.exists():
                write_atomically(path, referrer.manifest)
            with FileLock(layout / _LOCK):
                _add_referrer_to_index(layout, index_entry(referrer))
        except OSError as error:
            raise BundleError(f"The referrer can't be stored in {layout}: {error}") from error

    def list_referrers(self, ref: BundleRef) -> list[ListedReferrer]:
        """Return a bundle's referrers; see `BundleStore.list_referrers`."""
        entries = _read_index(self._layout_of(ref))["manifests"]
        others = [entry for entry in entries if entry.get("artifactType") != ARTIFACT_TYPE]
        return referrers_of(ref, others, self.read_manifest)

    def _is_bundle(self, layout: Path, entry: dict[str, Any]) -> bool:
        """Return whether an entry of the index is a bundle; who didn't say leaves it to look."""
        if "artifactType" in entry:
            return bool(entry["artifactType"] == ARTIFACT_TYPE)
        path = self._blob(layout, entry["digest"])
        try:
            with path.open("rb") as file:
                content = json.loads(file.read(MAX_MANIFEST_BYTES))
        except (OSError, ValueError):
            return False  # it can't be fetched either, and then it's said what is wrong with it
        return isinstance(content, dict) and content.get("artifactType") == ARTIFACT_TYPE

    def _layout_of(self, ref: BundleRef) -> Path:
        elsewhere = f"the registry {ref.host}" if ref.host is not None else ref.layout
        if elsewhere not in (None, str(self._root)):
            raise BundleError(
                f"{ref} is in {elsewhere}, not in {self._root}.",
                hint="Leave the host out to take it from the environment's own registry.",
            )
        return self._layout(ref.repository)

    def _layout(self, repository: str) -> Path:
        check_repository(repository)
        reserved = {_LAYOUT, _INDEX, _BLOBS}.intersection(repository.split("/"))
        if reserved:
            raise BundleError(
                f"A repository {repository!r} can't be kept in a directory: "
                f"{reserved.pop()!r} is a name of the OCI image layout.",
                hint="Give the repository another name.",
            )
        return self._root / repository

    def _blob(self, layout: Path, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return layout / _BLOBS / algorithm / hexadecimal

    def _add(self, layout: Path, progress: TransferProgress, blob: UnhashedBlob) -> PackedBlob:
        progress.expect(blob.size)
        try:
            folder = self._blob(layout, _ANY_DIGEST).parent
            folder.mkdir(parents=True, exist_ok=True)
            with _draft(folder / "blob") as (draft, file):
                reading = FileReading(self._chunks(blob))
                for chunk in reading:
                    file.write(chunk)
                    progress.moved(len(chunk))
                packed = blob.packed(reading.digest, file.tell())
                if not self._is_there(layout, packed.descriptor):
                    _finish(file, draft, self._blob(layout, packed.descriptor.digest))
        except OSError as error:
            raise BundleError(f"The bundle can't be stored in {layout}: {error}") from error
        return packed

    def _chunks(self, blob: UnhashedBlob) -> Iterator[bytes]:
        if blob.media_type != ARCHIVE_MEDIA_TYPE:
            return blob.chunks()
        # Threads that all open small files get in each other's way.
        with self._reading:
            return iter((b"".join(blob.chunks()),))

    def _store(
        self, layout: Path, blob: PackedBlob, progress: TransferProgress = UNWATCHED
    ) -> None:
        if self._is_there(layout, blob.descriptor):
            return
        progress.expect(blob.descriptor.size)
        path = self._blob(layout, blob.descriptor.digest)
        with _draft(path) as (draft, file):
            try:
                write_checked(_told(blob.chunks(), progress), blob.descriptor, file, "")
            except BundleFileError:
                raise
            except BundleError as error:
                what = blob.descriptor.annotations.get(TITLE, "The bundle's config")
                raise BundleChangedError(what) from error
            _finish(file, draft, path)

    def _is_there(self, layout: Path, descriptor: Descriptor) -> bool:
        path = self._blob(layout, descriptor.digest)
        return path.exists() and path.stat().st_size == descriptor.size


@contextmanager
def _draft(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Give a file beside `path` to write to; it's gone afterwards unless it was finished."""
    draft = draft_beside(path)
    try:
        with draft.open("xb") as file:
            yield draft, file
    finally:
        draft.unlink(missing_ok=True)


def _finish(file: BinaryIO, draft: Path, path: Path) -> None:
    """Have a draft appear at `path` once it's on the disk."""
    file.flush()
    os.fsync(file.fileno())
    draft.replace(path)


def _told(chunks: Iterable[bytes], progress: TransferProgress) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        progress.moved(len(chunk))


def _add_to_index(layout: Path, packed: PackedBundle, blobs: Path) -> None:
    """Name the bundle in the index, under its version; whoever else had that tag loses it."""
    index = _read_index(layout)
    tag = tag_of(packed.version)
    own = {
        "mediaType": IMAGE_MANIFEST_MEDIA_TYPE,
        "digest": packed.digest,
        "size": len(packed.manifest),
        "artifactType": ARTIFACT_TYPE,
        "annotations": {REF_NAME: tag},
    }
    entries = [
        entry if entry == own else _without_tag(entry, tag)
        for entry in index["manifests"]
        if entry == own or entry["digest"] != packed.digest
    ]
    if own not in entries:
        entries.append(own)
    changed = {**index, "manifests": entries}
    if changed != index:
        # A power cut must not leave an index that names blobs that never got their names.
        sync_directory(blobs)
        write_atomically(layout / _INDEX, canonical_json(changed))
    if not (layout / _LAYOUT).exists():
        write_atomically(layout / _LAYOUT, _LAYOUT_CONTENT)


def _add_referrer_to_index(layout: Path, entry: dict[str, Any]) -> None:
    index = _read_index(layout)
    if all(known["digest"] != entry["digest"] for known in index["manifests"]):
        changed = {**index, "manifests": [*index["manifests"], entry]}
        write_atomically(layout / _INDEX, canonical_json(changed))


def _without_tag(entry: dict[str, Any], tag: str) -> dict[str, Any]:
    annotations = entry.get("annotations") or {}
    if annotations.get(REF_NAME) != tag:
        return entry
    kept = {key: value for key, value in annotations.items() if key != REF_NAME}
    return {**entry, "annotations": kept}


def _read_index(layout: Path) -> dict[str, Any]:
    path = layout / _INDEX
    try:
        index = json.loads(path.read_bytes())
        for entry in index["manifests"]:
            check_digest(entry["digest"])
    except FileNotFoundError:
        return {"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": []}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path} isn't the index of an OCI layout: {error!r}",
            hint="Remove that file and push the bundle again; bundles are found by digest anyway.",
        ) from error
    return dict(index)


def _altered(error: BundleError, path: Path) -> BundleError:
    return BundleError(error.message, hint=f"Remove {path} and push the bundle again.")
