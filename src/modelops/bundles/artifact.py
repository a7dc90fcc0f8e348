"""The OCI artifact that a bundle is: media types, descriptors, the image manifest.

Formats: OCI image spec 1.1, "Content Descriptors" and "Image Manifest", with the guidelines for
artifacts (an `artifactType` and a config of our own).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from modelops.contracts import canonical_json
from modelops.contracts.bundles import check_digest
from modelops.contracts.canonical import JSONValue
from modelops.core.errors import BundleError

ARTIFACT_TYPE = "application/vnd.modelops.bundle.v1"
CONFIG_MEDIA_TYPE = "application/vnd.modelops.bundle.config.v1+json"
FILE_MEDIA_TYPE = "application/vnd.modelops.bundle.file.v1"
"""A layer that is one file, named by its title."""
ARCHIVE_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
"""A layer that is an archive of files: the standard type, so that OCI clients unpack it."""
IMAGE_MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
REF_NAME = "org.opencontainers.image.ref.name"
UNPACK = "io.deis.oras.content.unpack"
"""What tells oras clients to unpack a layer."""
MODE = "io.modelops.bundle.mode"
"""The mode of a file that is a layer of its own, in octal, where it isn't 0644."""

MAX_MANIFEST_BYTES = 4 * 2**20
"""What a registry must take at least (OCI distribution spec 1.1) is what we take at the most."""

_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9._-]")


def _checked_digest(text: str) -> str:
    check_digest(text)
    return text


class OciPart(BaseModel):
    """A part of a manifest or index. Keys that we don't know are passed over, as OCI asks for."""

    model_config = ConfigDict(
        frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON; what is empty is left out."""
        written = self.model_dump(by_alias=True)
        return {key: value for key, value in written.items() if value not in (None, {})}


class Descriptor(OciPart):
    """What identifies a blob: its kind, digest and size in bytes."""

    media_type: str
    digest: Annotated[str, AfterValidator(_checked_digest)]
    size: Annotated[int, Field(ge=0)]
    annotations: dict[str, str] = Field(default_factory=dict)


class ImageManifest(OciPart):
    """The manifest of a bundle: its config and its layers."""

    schema_version: Annotated[int, Field(ge=2, le=2)] = 2
    media_type: str = IMAGE_MANIFEST_MEDIA_TYPE
    artifact_type: str | None = None
    config: Descriptor
    layers: list[Descriptor]
    annotations: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a bundle's manifest.

        Raises:
            BundleError: if it isn't an image manifest, or that of something else than a bundle.
        """
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise BundleError(
                f"This isn't the OCI manifest of a bundle: {where or 'it'}: {problem['msg']}"
            ) from error
        if manifest.artifact_type != ARTIFACT_TYPE:
            kind = manifest.artifact_type or manifest.config.media_type
            raise BundleError(
                f"This is an OCI artifact of the type {kind}, not a bundle.",
                hint="Name a repository that `mops bundle push` wrote.",
            )
        return manifest

    def encode(self) -> bytes:
        """Return the bytes that are stored; equal manifests give equal bytes."""
        layers: list[JSONValue] = [layer.to_json() for layer in self.layers]
        return canonical_json({**self.to_json(), "config": self.config.to_json(), "layers": layers})


def digest_of(data: bytes) -> str:
    """Return the digest of a blob that is in memory."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tag_of(version: str) -> str:
    """Return the tag of a version; what a tag may not hold (`1.0+local`) becomes `_`."""
    return _NOT_IN_A_TAG.sub("_", version)


def check_bytes(data: bytes, digest: str, what: str) -> bytes:
    """Return `data` if it has the digest.

    Raises:
        BundleError: if it hasn't.
    """
    found = digest_of(data)
    if found != digest:
        raise BundleError(f"{what} has the digest {found}, not {digest}: it was altered.")
    return data


def write_checked(
    chunks: Iterable[bytes], descriptor: Descriptor, target: BinaryIO, what: str
) -> None:
    """Write a blob while it is hashed.

    Raises:
        BundleError: if its size or digest isn't what the descriptor says. Not a byte more than the
            descriptor's size is written.
    """
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > descriptor.size:
            raise BundleError(f"{what} is larger than the {descriptor.size} bytes that it should.")
        digest.update(chunk)
        target.write(chunk)
    if size != descriptor.size:
        raise BundleError(f"{what} has {size} bytes, not {descriptor.size}: it was cut short.")
    found = f"sha256:{digest.hexdigest()}"
    if found != descriptor.digest:
        raise BundleError(
            f"{what} has the digest {found}, not {descriptor.digest}: it was altered."
        )


def read_chunks(path: Path, size: int = 2**20) -> Iterator[bytes]:
    """Yield a file's content in pieces of `size` bytes."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk
