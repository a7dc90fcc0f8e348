"""Packing: from a directory to an OCI artifact, whose digest depends on the content alone.

The artifact's manifest names a config (name, version, entrypoint, models and targets), some
archives of small files (`groups`), and each large file as a layer of its own, so that a change of
code doesn't move the data again. Nothing is copied: what is pushed is read from the directory
again, and every store checks that it still has the digest.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelops.bundles.archive import archive, archived_size, file_content, parent_directories
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
from modelops.bundles.discovery import discover
from modelops.bundles.groups import grouped
from modelops.bundles.manifest import MANIFEST_FILE, BundleManifest, read_manifest
from modelops.bundles.registry_file import REGISTRY_FILE, read_registry
from modelops.bundles.tree import IGNORE_FILE, BundleFile, list_files
from modelops.contracts import canonical_json
from modelops.core.errors import BundleFileError

OWN_LAYER_BYTES = 2**20
"""A file larger than this is a layer of its own: it stays where it is when others change."""

Chunks = Callable[[], Iterator[bytes]]
"""Gives a blob's content in pieces, from its first byte each time that it's called."""


@dataclass(frozen=True)
class PackedBlob:
    """A blob of a bundle."""

    descriptor: Descriptor
    chunks: Chunks


@dataclass(frozen=True)
class UnhashedBlob:
    """A blob of a bundle that nobody has read yet.

    Attributes:
        media_type, annotations: of its descriptor.
        size: in bytes; of an archive about.
        files: what it is made of.
        chunks: its content.
    """

    media_type: str
    annotations: dict[str, str]
    size: int
    files: tuple[BundleFile, ...]
    chunks: Chunks

    def packed(self, digest: str, size: int, chunks: Chunks | None = None) -> PackedBlob:
        """Return the blob now that it's known what it has; `chunks` if it's at hand."""
        descriptor = Descriptor(
            media_type=self.media_type, digest=digest, size=size, annotations=self.annotations
        )
        return PackedBlob(descriptor, chunks or self.chunks)

    def hashed(self) -> PackedBlob:
        """Read the blob to see what digest it has.

        Raises:
            BundleFileError: if a file can't be read, or has another size than when it was listed.
        """
        digest = hashlib.sha256()
        size = 0
        for chunk in self.chunks():
            digest.update(chunk)
            size += len(chunk)
        return self.packed(f"sha256:{digest.hexdigest()}", size)


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


@dataclass(frozen=True)
class BundleDraft:
    """A bundle of which it's known what it consists of, but not yet what digests that has.

    Attributes:
        root: its directory.
        name, version: as in `manifest.json`.
        blobs: the config, then the layers.
    """

    root: Path
    name: str
    version: str
    blobs: tuple[UnhashedBlob, ...]

    def packed(self, blobs: Sequence[PackedBlob]) -> PackedBundle:
        """Return the bundle, its blobs as they were found, in the draft's order.

        Raises:
            BundleFileError: if they are more than a manifest can name.
        """
        config, *layers = (blob.descriptor for blob in blobs)
        encoded = ImageManifest(
            artifact_type=ARTIFACT_TYPE,
            config=config,
            layers=layers,
            annotations={TITLE: self.name, VERSION: self.version},
        ).encode()
        if len(encoded) > MAX_MANIFEST_BYTES:
            raise BundleFileError(
                f"{self.root} has {len(layers):,} files of more than {OWN_LAYER_BYTES:,} bytes, "
                "more than a registry takes.",
                hint="Put them together into fewer files.",
            )
        return PackedBundle(self.name, self.version, encoded, tuple(blobs))


def pack(root: Path) -> PackedBundle:
    """Pack the bundle in the directory `root`.

    The same files give the same digest on any machine, whoever owns them and whenever they were
    written. Of a file's mode only the owner's right to execute it counts; empty directories don't.

    Raises:
        BundleFileError: if the bundle's files are invalid or can't be packed.
    """
    files = bundle_files(root)
    draft = make_draft(root, files, config_of(root, files))
    return draft.packed([blob.hashed() for blob in draft.blobs])


def bundle_files(root: Path) -> list[BundleFile]:
    """Return the files of the bundle in `root`, sorted by name; its manifest is one of them.

    Raises:
        BundleFileError: if it isn't, or the files can't be listed.
    """
    files = list_files(root)
    if all(file.name != MANIFEST_FILE for file in files):
        # That there is none is said by the one who reads it.
        read_manifest(root)
        raise BundleFileError(
            f"{root / MANIFEST_FILE} isn't packed.",
            hint=f"It is named in {IGNORE_FILE}, or isn't a regular file.",
        )
    return files


def config_of(root: Path, files: Sequence[BundleFile]) -> bytes:
    """Return the config of the bundle in `root`, which follows from its `config_files`.

    Raises:
        BundleFileError: if manifest, registry or code are invalid.
    """
    manifest = read_manifest(root)
    is_registered = any(file.name == REGISTRY_FILE for file in files)
    known = read_registry(root) if is_registered else None
    registry = discover(root, files) if known is None else known
    return canonical_json({**manifest.model_dump(), "registry": registry.to_json()})


def config_files(files: Iterable[BundleFile]) -> tuple[BundleFile, ...]:
    """Return the files that say what the config has: manifest, registry and code."""
    names = (MANIFEST_FILE, REGISTRY_FILE)
    return tuple(file for file in files if file.name in names or file.name.endswith(".py"))


def make_draft(root: Path, files: Sequence[BundleFile], config: bytes) -> BundleDraft:
    """Return the draft of a bundle that has these files (sorted by name) and this config."""
    manifest = BundleManifest.of_config(config)
    blob = UnhashedBlob(CONFIG_MEDIA_TYPE, {}, len(config), (), lambda: iter((config,)))
    layers = _layers(files, manifest.name)
    return BundleDraft(root, manifest.name, manifest.version, (blob, *layers))


def _layers(files: Sequence[BundleFile], top: str) -> Iterator[UnhashedBlob]:
    large = [file for file in files if file.size > OWN_LAYER_BYTES]
    groups = list(grouped(file for file in files if file.size <= OWN_LAYER_BYTES))
    for index, group in enumerate(groups or [[]]):
        # Directories of large files too: clients write files into directories that are there.
        named = [*group, *large] if index == 0 else group
        directories = parent_directories(file.name for file in named)
        yield UnhashedBlob(
            ARCHIVE_MEDIA_TYPE,
            {TITLE: _archive_title(top, index), UNPACK: "true"},
            sum(archived_size(file) for file in group),
            tuple(group),
            functools.partial(archive, group, top, directories),
        )
    for file in large:
        annotations = {TITLE: f"{top}/{file.name}"}
        if file.executable:
            annotations[MODE] = f"{file.mode:04o}"
        yield UnhashedBlob(
            FILE_MEDIA_TYPE, annotations, file.size, (file,), functools.partial(file_content, file)
        )


def _archive_title(top: str, index: int) -> str:
    """Return the title of an archive: each says `top`, and no two are spelled alike.

    Clients unpack an archive at its title, but take no title twice. So the later ones end with `/`
    and `/.` for the digits 0 and 1 of their number, which changes nothing of where they lead.
    """
    digits = f"{index:b}" if index else ""
    return top + "".join("/." if digit == "1" else "/" for digit in digits)
