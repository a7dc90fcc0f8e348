"""A directory of OCI image layouts, one a repository: bundles without a server.

Format: OCI image spec 1.1, "Image Layout". Other OCI tools read it. Only our own writers are safe
at the same time, because the index of a layout isn't made for concurrent writers.
"""

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock

from modelops.bundles.artifact import (
    ARTIFACT_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
    INDEX_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    REF_NAME,
    Descriptor,
    check_bytes,
    read_chunks,
    tag_of,
    write_checked,
)
from modelops.bundles.bundle_store import StoredBundle
from modelops.bundles.files import draft_beside, write_atomically
from modelops.bundles.packing import PackedBlob, PackedBundle
from modelops.contracts import BundleRef, canonical_json
from modelops.contracts.bundles import check_digest, check_repository
from modelops.core.errors import BundleError
from modelops.core.near_miss import did_you_mean_or_all

_LAYOUT, _INDEX, _BLOBS, _LOCK = "oci-layout", "index.json", "blobs", ".lock"
_LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutStore:
    """Bundles in a directory. Pulling by digest doesn't read a layout's index."""

    def __init__(self, root: Path) -> None:
        """Make a store.

        Args:
            root: an absolute path; it is made when the first bundle is pushed.
        """
        self._root = root

    def push(self, repository: str, packed: PackedBundle) -> BundleRef:
        """Store a bundle; see `BundleStore.push`."""
        layout = self._layout(repository)
        try:
            self._blob(layout, packed.digest).parent.mkdir(parents=True, exist_ok=True)
            for blob in packed.blobs:
                self._store(layout, blob)
            path = self._blob(layout, packed.digest)
            if not path.exists():
                write_atomically(path, packed.manifest)
            with FileLock(layout / _LOCK):
                _add_to_index(layout, packed)
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
            raise BundleError(
                f"There is no bundle {ref} in {self._root}.",
                hint="List what is there with: mops bundle list",
            ) from None
        except OSError as error:
            raise BundleError(f"{path} can't be read: {error}") from error
        try:
            return check_bytes(data, ref.digest, str(path))
        except BundleError as error:
            raise _altered(error, path) from error

    def fetch_blob(self, ref: BundleRef, descriptor: Descriptor, target: Path) -> None:
        """Copy a blob; see `BundleStore.fetch_blob`."""
        path = self._blob(self._layout_of(ref), descriptor.digest)
        try:
            with target.open("wb") as file:
                write_checked(read_chunks(path), descriptor, file, str(path))
        except OSError as error:
            raise BundleError(f"{descriptor.digest} of {ref} can't be copied: {error}") from error
        except BundleError as error:
            raise _altered(error, path) from error

    def resolve(self, repository: str, tag: str) -> BundleRef:
        """Return the bundle of a tag; see `BundleStore.resolve`."""
        tags = {item.tag: item.ref for item in self.list_bundles(repository) if item.tag}
        if tag not in tags:
            raise BundleError(
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
        entries = _read_index(self._layout(repository))["manifests"]
        bundles = [
            StoredBundle(
                BundleRef(repository, entry["digest"]),
                (entry.get("annotations") or {}).get(REF_NAME),
            )
            for entry in entries
            if entry.get("artifactType") == ARTIFACT_TYPE
        ]
        return sorted(bundles, key=lambda item: (item.tag is None, item.tag or "", item.ref.digest))

    def _layout_of(self, ref: BundleRef) -> Path:
        if ref.host is not None:
            raise BundleError(
                f"{ref} is in the registry {ref.host}, not in {self._root}.",
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

    def _store(self, layout: Path, blob: PackedBlob) -> None:
        path = self._blob(layout, blob.descriptor.digest)
        if path.exists() and path.stat().st_size == blob.descriptor.size:
            return
        draft = draft_beside(path)
        try:
            with draft.open("xb") as file:
                write_checked(blob.chunks(), blob.descriptor, file, "What was packed")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _add_to_index(layout: Path, packed: PackedBundle) -> None:
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
        write_atomically(layout / _INDEX, canonical_json(changed))
    if not (layout / _LAYOUT).exists():
        write_atomically(layout / _LAYOUT, _LAYOUT_CONTENT)


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
