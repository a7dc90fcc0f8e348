"""Packing: from a directory to an OCI artifact, whose digest depends on the content alone.

The artifact's manifest names a config (name, version, entrypoint, models and targets), one archive
of all the small files, and each large file as a layer of its own, so that a change of code doesn't
move the data again. Nothing is copied: what is pushed is read from the directory again, and every
store checks that it still has the digest.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelops.bundles.archive import archive, file_content, parent_directories
from modelops.bundles.artifact import (
    ARCHIVE_MEDIA_TYPE,
    ARTIFACT_TYPE,
    CONFIG_MEDIA_TYPE,
    FILE_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    MODE,
    TITLE,
    UNPACK,
    VERSION,
    Descriptor,
    ImageManifest,
    digest_of,
)
from modelops.bundles.discovery import effective_registry
from modelops.bundles.manifest import MANIFEST_FILE, BundleManifest, read_manifest
from modelops.bundles.tree import IGNORE_FILE, BundleFile, list_files
from modelops.contracts import canonical_json
from modelops.core.errors import BundleFileError

OWN_LAYER_BYTES = 8 * 2**20
"""A file larger than this is a layer of its own."""


@dataclass(frozen=True)
class PackedBlob:
    """A blob of a bundle. `chunks` starts from its first byte each time that it's called."""

    descriptor: Descriptor
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class PackedBundle:
    """A bundle, ready to be pushed.

    Attributes:
        name, version: as in `manifest.json`.
        manifest: the bytes of the OCI manifest.
        blobs: what the manifest names: the config, then the layers.
    """

    name: str
    version: str
    manifest: bytes
    blobs: tuple[PackedBlob, ...]

    @property
    def digest(self) -> str:
        """The digest of the OCI manifest, which pins the bundle."""
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """The size of manifest and blobs in bytes."""
        return len(self.manifest) + sum(blob.descriptor.size for blob in self.blobs)


def pack(root: Path) -> PackedBundle:
    """Pack the bundle in the directory `root`.

    The same files give the same digest on any machine, whoever owns them and whenever they were
    written. Of a file's mode only the owner's right to execute it counts; empty directories don't.

    Raises:
        BundleFileError: if the bundle's files are invalid or can't be packed.
    """
    manifest = read_manifest(root)
    files = list_files(root)
    if all(file.name != MANIFEST_FILE for file in files):
        raise BundleFileError(
            f"{root / MANIFEST_FILE} isn't packed.",
            hint=f"It is named in {IGNORE_FILE}, or isn't a regular file.",
        )
    blobs = [_config(manifest, root), *_layers(files, manifest.name)]
    config, *layers = (blob.descriptor for blob in blobs)
    encoded = ImageManifest(
        artifact_type=ARTIFACT_TYPE,
        config=config,
        layers=layers,
        annotations={TITLE: manifest.name, VERSION: manifest.version},
    ).encode()
    if len(encoded) > MAX_MANIFEST_BYTES:
        raise BundleFileError(
            f"{root} has {len(layers):,} files of more than {OWN_LAYER_BYTES:,} bytes, "
            "more than a registry takes.",
            hint="Put them together into fewer files.",
        )
    return PackedBundle(manifest.name, manifest.version, encoded, tuple(blobs))


def _config(manifest: BundleManifest, root: Path) -> PackedBlob:
    content = {**manifest.model_dump(), "registry": effective_registry(root).to_json()}
    data = canonical_json(content)
    descriptor = Descriptor(media_type=CONFIG_MEDIA_TYPE, digest=digest_of(data), size=len(data))
    return PackedBlob(descriptor, lambda: iter((data,)))


def _layers(files: list[BundleFile], top: str) -> Iterator[PackedBlob]:
    small = [file for file in files if file.size <= OWN_LAYER_BYTES]
    # Directories of large files too: clients write files into directories that are there.
    directories = parent_directories(file.name for file in files)
    annotations = {TITLE: top, UNPACK: "true"}
    yield _blob(
        functools.partial(archive, small, top, directories), ARCHIVE_MEDIA_TYPE, annotations
    )
    for file in files:
        if file.size > OWN_LAYER_BYTES:
            annotations = {TITLE: f"{top}/{file.name}"}
            if file.executable:
                annotations[MODE] = f"{file.mode:04o}"
            yield _blob(functools.partial(file_content, file), FILE_MEDIA_TYPE, annotations)


def _blob(
    chunks: Callable[[], Iterator[bytes]], media_type: str, annotations: dict[str, str]
) -> PackedBlob:
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks():
        digest.update(chunk)
        size += len(chunk)
    descriptor = Descriptor(
        media_type=media_type,
        digest=f"sha256:{digest.hexdigest()}",
        size=size,
        annotations=annotations,
    )
    return PackedBlob(descriptor, chunks)
