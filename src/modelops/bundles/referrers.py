"""Referrers: what is said about a bundle, stored beside it without changing its digest.

Format: OCI image spec 1.1, an image manifest with a `subject`; OCI distribution spec 1.1, "Listing
Referrers" and "Referrers Tag Schema" for how stores find them.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError

from modelops.bundles.artifact import (
    IMAGE_MANIFEST_MEDIA_TYPE,
    INDEX_MEDIA_TYPE,
    Descriptor,
    OciPart,
    digest_of,
)
from modelops.bundles.packing import PackedBlob
from modelops.contracts import BundleRef, canonical_json
from modelops.core.errors import BundleError

if TYPE_CHECKING:
    from modelops.bundles.bundle_store import BundleStore

MAX_REFERRERS = 256
"""How many referrers of one kind are looked at; who may write there could add any number."""
MAX_LISTED = 4096
"""How many descriptors a list of referrers may have."""
MAX_REFERRER_BYTES = 256 * 2**10
"""How large the manifest of a referrer may be."""

_EMPTY_MEDIA_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
# Clients that write a list themselves name the config's type there, as the specification asked for
# before artifacts had one of their own.
_SAYS_NOTHING = ("", _EMPTY_MEDIA_TYPE, "application/vnd.oci.image.config.v1+json")


class ListedReferrer(Descriptor):
    """A referrer as lists show it; what others wrote beyond that stays when it's written again."""

    model_config = ConfigDict(extra="allow")

    artifact_type: str | None = None

    def may_be(self, artifact_type: str) -> bool:
        """Return whether it may be of that kind; only its manifest says it for certain."""
        return (self.artifact_type or "") in (artifact_type, *_SAYS_NOTHING)


class ReferrerIndex(OciPart):
    """A list of referrers: an OCI image index."""

    model_config = ConfigDict(extra="allow")

    schema_version: Annotated[int, Field(ge=2, le=2)] = 2
    media_type: str = INDEX_MEDIA_TYPE
    manifests: Annotated[list[ListedReferrer], Field(max_length=MAX_LISTED)] = Field(
        default_factory=list
    )

    @classmethod
    def parse(cls, data: bytes, what: str) -> Self:
        """Read a list of referrers.

        Raises:
            BundleError: if it isn't one, or is longer than `MAX_LISTED`.
        """
        try:
            index = cls.model_validate_json(data)
        except ValidationError as error:
            raise BundleError(f"{what} isn't a list of referrers: {_problem(error)}") from error
        if index.media_type != INDEX_MEDIA_TYPE:
            raise BundleError(f"{what} isn't a list of referrers but a {index.media_type}.")
        return index

    def with_one_more(self, referrer: ListedReferrer) -> Self:
        """Return the list with a referrer added, sorted as other clients sort it."""
        merged = {item.digest: item for item in (*self.manifests, referrer)}
        return self.model_copy(update={"manifests": [merged[key] for key in sorted(merged)]})

    def encode(self) -> bytes:
        """Return the bytes that are stored."""
        manifests: list[Any] = [item.to_json() for item in self.manifests]
        return canonical_json({**self.to_json(), "manifests": manifests})


class ReferrerManifest(OciPart):
    """The manifest of a referrer."""

    schema_version: Annotated[int, Field(ge=2, le=2)] = 2
    media_type: str = IMAGE_MANIFEST_MEDIA_TYPE
    artifact_type: str | None = None
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is: its artifactType, else its config's type."""
        return self.artifact_type or self.config.media_type

    @classmethod
    def parse(cls, data: bytes, subject: BundleRef) -> Self:
        """Read the manifest of a referrer of `subject`.

        Raises:
            BundleError: if it's something else, or refers to another manifest.
        """
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise BundleError(f"It isn't the manifest of a referrer: {_problem(error)}") from error
        if manifest.subject.digest != subject.digest:
            raise BundleError(
                f"It refers to {manifest.subject.digest}, not to {subject.digest}.",
            )
        return manifest

    def encode(self) -> bytes:
        """Return the bytes that are stored; equal manifests give equal bytes."""
        layers: list[Any] = [layer.to_json() for layer in self.layers]
        parts: dict[str, Any] = {"config": self.config.to_json(), "layers": layers}
        return canonical_json({**self.to_json(), **parts, "subject": self.subject.to_json()})


@dataclass(frozen=True)
class Referrer:
    """A referrer with one layer, to be pushed.

    Attributes:
        artifact_type: what it is.
        subject: the manifest that it's about.
        content: the layer.
        media_type: the layer's.
        annotations: of the manifest.
    """

    artifact_type: str
    subject: Descriptor
    content: bytes
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[PackedBlob, ...]:
        """What the manifest names: the empty config, then the layer."""
        return (_blob(_EMPTY, _EMPTY_MEDIA_TYPE), _blob(self.content, self.media_type))

    @cached_property
    def manifest(self) -> bytes:
        """The bytes of the manifest; the same referrer gives the same."""
        config, *layers = (blob.descriptor for blob in self.blobs)
        return ReferrerManifest(
            artifact_type=self.artifact_type,
            config=config,
            layers=layers,
            subject=self.subject,
            annotations=dict(self.annotations),
        ).encode()

    @property
    def listed(self) -> ListedReferrer:
        """What stands in lists of referrers."""
        return ListedReferrer(
            media_type=IMAGE_MANIFEST_MEDIA_TYPE,
            digest=digest_of(self.manifest),
            size=len(self.manifest),
            annotations=dict(self.annotations),
            artifact_type=self.artifact_type,
        )


@dataclass(frozen=True)
class FoundReferrer:
    """A referrer that a list showed; `problem` says why it can't be taken, or is empty."""

    digest: str
    manifest: ReferrerManifest | None
    problem: str = ""


def subject_of(store: "BundleStore", ref: BundleRef) -> Descriptor:
    """Return what a referrer of the bundle `ref` names as its subject.

    Raises:
        BundleError: if the bundle isn't there or was altered.
    """
    size = len(store.read_manifest(ref))
    return Descriptor(media_type=IMAGE_MANIFEST_MEDIA_TYPE, digest=ref.digest, size=size)


def find_referrers(
    store: "BundleStore", ref: BundleRef, artifact_type: str
) -> Iterator[FoundReferrer]:
    """Yield the referrers of a bundle that are of one kind, in the order of the store's list.

    Each manifest is read when it's asked for, and has the digest and size that the list says. One
    that can't be taken is yielded with its problem: anybody who may write there may put it there,
    so that it must not hide the others.

    Raises:
        BundleError: if the list can't be read, or there are more than `MAX_REFERRERS` of the kind.
    """
    listed = [item for item in store.list_referrers(ref) if item.may_be(artifact_type)]
    unique = {item.digest: item for item in listed}
    if len(unique) > MAX_REFERRERS:
        raise BundleError(
            f"{ref} has {len(unique):,} referrers that may be of the type {artifact_type}, more "
            f"than the {MAX_REFERRERS} that are looked at.",
            hint="Remove those that nobody needs from the registry.",
        )
    for item in unique.values():
        try:
            manifest = _read_manifest(store, ref, item)
        except BundleError as error:
            yield FoundReferrer(item.digest, None, error.message)
            continue
        if manifest.kind == artifact_type:
            yield FoundReferrer(item.digest, manifest)


def read_layer(
    store: "BundleStore", ref: BundleRef, referrer: ReferrerManifest, media_type: str, limit: int
) -> bytes:
    """Return the one layer of a referrer of `ref`.

    Raises:
        BundleError: if there are several, or it is of another type, larger than `limit` bytes, not
            there or altered.
    """
    if len(referrer.layers) != 1 or referrer.layers[0].media_type != media_type:
        raise BundleError(f"It hasn't one layer of the type {media_type}.")
    (layer,) = referrer.layers
    if layer.size > limit:
        raise BundleError(f"It has {layer.size:,} bytes, more than the {limit:,} that it may.")
    with tempfile.TemporaryDirectory(prefix="modelops-referrer-") as folder:
        target = Path(folder) / "layer"
        store.fetch_blob(ref, layer, target)
        return target.read_bytes()


def refers_to(manifest: bytes, ref: BundleRef) -> bool:
    """Return whether it's the manifest of a referrer of `ref`; False for anything else."""
    try:
        return ReferrerManifest.model_validate_json(manifest).subject.digest == ref.digest
    except ValidationError:
        return False


def check_listed(listed: Iterable[ListedReferrer], digest: str) -> list[ListedReferrer]:
    """Return the referrers of the manifest `digest`, whose list comes in pieces.

    Raises:
        BundleError: if it is longer than `MAX_LISTED`.
    """
    found: list[ListedReferrer] = []
    for item in listed:
        found.append(item)
        if len(found) > MAX_LISTED:
            raise BundleError(f"{digest} has more than {MAX_LISTED:,} referrers.")
    return found


def _read_manifest(
    store: "BundleStore", ref: BundleRef, listed: ListedReferrer
) -> ReferrerManifest:
    if listed.size > MAX_REFERRER_BYTES:
        raise BundleError(f"Its manifest has {listed.size:,} bytes, more than it may.")
    data = store.read_manifest(replace(ref, digest=listed.digest))
    if len(data) != listed.size:
        raise BundleError(f"Its manifest has {len(data)} bytes, not {listed.size}.")
    return ReferrerManifest.parse(data, ref)


def _blob(content: bytes, media_type: str) -> PackedBlob:
    descriptor = Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))
    return PackedBlob(descriptor, lambda: iter((content,)))


def _problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where or 'it'}: {problem['msg']}"
