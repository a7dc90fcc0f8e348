"""An OCI registry as a store of bundles. API: OCI distribution spec 1.1."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urljoin

import requests

from modelops.bundles.access import RegistryAccess
from modelops.bundles.artifact import (
    IMAGE_MANIFEST_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    Descriptor,
    check_bytes,
    digest_of,
    tag_of,
)
from modelops.bundles.blob_source import BlobSource
from modelops.bundles.bundle_store import StoredBundle
from modelops.bundles.packing import PackedBlob, PackedBundle, UnhashedBlob
from modelops.bundles.progress import UNWATCHED, TransferProgress
from modelops.bundles.receiving import BlobReceiver
from modelops.bundles.referrers import ListedReferrer, Referrer
from modelops.bundles.registry_referrers import RegistryReferrers, names_referrers
from modelops.bundles.repository_uploads import RepositoryUploads
from modelops.bundles.transport import RegistryTransport
from modelops.contracts import BundleRef, ContractError
from modelops.contracts.bundles import check_digest, check_repository
from modelops.core.errors import BundleError, BundleNotThereError
from modelops.core.near_miss import did_you_mean_or_all

_READ = 2**20
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ACCEPT = {"Accept": IMAGE_MANIFEST_MEDIA_TYPE}


class RegistryStore(BlobSource):
    """Bundles in a registry. Every manifest and blob is checked here, not by the transport."""

    def __init__(self, address: str, access: RegistryAccess | None = None) -> None:
        """Make a store; nothing is sent yet.

        Args:
            address: `host[:port]`, and `/prefix` that repositories' names begin with.
            access: user, password and CA; without it, those that the machine knows.

        Raises:
            BundleError: if the address has another form, or the CA's file isn't there.
        """
        host, _, prefix = address.partition("/")
        self._prefix = prefix.strip("/")
        try:
            # A reference knows what a host is.
            BundleRef(self._prefix or "bundle", f"sha256:{'0' * 64}", host)
        except ContractError as error:
            raise BundleError(
                f"{address!r} isn't a bundle registry: {error}.",
                hint="Write oci://host or oci://host:port/prefix.",
            ) from error
        self._transport = RegistryTransport(host, access)
        self._known_uploads: dict[str, RepositoryUploads] = {}

    def add_blobs(
        self,
        repository: str,
        blobs: Sequence[UnhashedBlob],
        progress: TransferProgress = UNWATCHED,
    ) -> Iterator[tuple[int, PackedBlob]]:
        """Store blobs while they are hashed; see `BundleStore.add_blobs`."""
        check_repository(repository)
        return self._uploads(self._path(repository)).add(blobs, progress)

    def push(
        self,
        repository: str,
        packed: PackedBundle,
        progress: TransferProgress = UNWATCHED,
    ) -> BundleRef:
        """Store a bundle; see `BundleStore.push`."""
        check_repository(repository)
        path = self._path(repository)
        tag = tag_of(packed.version)
        uploads = self._uploads(path)
        # What a tag names is there with all that it names; and it's not what was sent just now.
        if uploads.has_sent or self._digest_of_tag(path, tag) != packed.digest:
            uploads.put(packed.blobs, progress)
            self._transport.request(
                "PUT",
                f"{path}/manifests/{tag}",
                headers={"Content-Type": IMAGE_MANIFEST_MEDIA_TYPE},
                body=packed.manifest,
                missing=f"repository {repository}",
            )
            uploads.has_sent = False
        return BundleRef(repository, packed.digest)

    def read_manifest(self, ref: BundleRef) -> bytes:
        """Return a bundle's manifest; see `BundleStore.read_manifest`."""
        data = self._manifest(f"{self._path_of(ref)}/manifests/{ref.digest}", str(ref))
        return check_bytes(data, ref.digest, f"The manifest of {ref}")

    def _place_of(self, ref: BundleRef, descriptor: Descriptor) -> str:
        return f"{descriptor.digest} of {ref}"

    def _read_into(self, receiver: BlobReceiver, ref: BundleRef, descriptor: Descriptor) -> None:
        self._transport.download(f"{self._path_of(ref)}/blobs/{descriptor.digest}", receiver)

    def resolve(self, repository: str, tag: str) -> BundleRef:
        """Return the bundle of a tag; see `BundleStore.resolve`."""
        check_repository(repository)
        digest = self._digest_of_tag(self._path(repository), tag) if _TAG.fullmatch(tag) else None
        if digest is None:
            raise BundleNotThereError(
                f"There is no {repository}:{tag} in the bundle registry {self._transport.host}.",
                hint=did_you_mean_or_all(tag, self._tags(repository)),
            )
        return BundleRef(repository, digest)

    def list_repositories(self) -> list[str]:
        """Return the repositories; see `BundleStore.list_repositories`."""
        try:
            names = list(self._pages("/v2/_catalog", "repositories", missing="catalog"))
        except BundleError as error:
            # If we are let in, it's the list alone that we don't get: many registries give none.
            try:
                self._transport.ping()
            except BundleError as unusable:
                raise (unusable if isinstance(error, BundleNotThereError) else error) from None
            raise BundleError(
                f"The bundle registry {self._transport.host} doesn't list its repositories: "
                f"{error.message}",
                hint="Name one: mops bundle list REPOSITORY",
            ) from error
        start = f"{self._prefix}/" if self._prefix else ""
        return sorted(name.removeprefix(start) for name in names if name.startswith(start))

    def list_bundles(self, repository: str) -> list[StoredBundle]:
        """Return a repository's tagged bundles; see `BundleStore.list_bundles`."""
        check_repository(repository)
        path = self._path(repository)
        digests = ((tag, self._digest_of_tag(path, tag)) for tag in sorted(self._tags(repository)))
        return [
            StoredBundle(BundleRef(repository, digest), tag)
            for tag, digest in digests
            if digest is not None
        ]

    def push_referrer(self, ref: BundleRef, referrer: Referrer) -> None:
        """Store a referrer; see `BundleStore.push_referrer`."""
        path = self._path_of(ref)
        for blob in referrer.blobs:
            self._upload(path, blob)
        RegistryReferrers(self._transport, path, ref.digest).add(referrer)

    def list_referrers(self, ref: BundleRef) -> list[ListedReferrer]:
        """Return a bundle's referrers; see `BundleStore.list_referrers`."""
        return RegistryReferrers(self._transport, self._path_of(ref), ref.digest).listed()

    def _path_of(self, ref: BundleRef) -> str:
        if ref.is_in_own_registry:
            return self._path(ref.repository)
        if ref.host != self._transport.host:
            raise BundleError(
                f"{ref} isn't in the bundle registry {self._transport.host}.",
                hint="Leave the host out to take it from the environment's own registry.",
            )
        # With a host the name is whole: a prefix is part of it already.
        return f"/v2/{ref.repository}"

    def _path(self, repository: str) -> str:
        return f"/v2/{self._prefix}/{repository}" if self._prefix else f"/v2/{repository}"

    def _upload(self, path: str, blob: PackedBlob) -> None:
        self._uploads(path).put([blob], UNWATCHED)

    def _uploads(self, path: str) -> RepositoryUploads:
        """Return what uploads to a repository: the same each time, since it knows what it sent."""
        return self._known_uploads.setdefault(path, RepositoryUploads(self._transport, path))

    def _manifest(self, path: str, what: str) -> bytes:
        received = bytearray()

        def read(response: requests.Response) -> None:
            received.clear()
            for chunk in response.iter_content(_READ):
                received.extend(chunk)
                if len(received) > MAX_MANIFEST_BYTES:
                    raise BundleError(f"The manifest of {what} is larger than a manifest may be.")

        self._transport.request("GET", path, headers=_ACCEPT, missing=what, read=read)
        return bytes(received)

    def _digest_of_tag(self, path: str, tag: str) -> str | None:
        """Return the digest of what a tag names; None if there is no such tag."""
        answer = self._transport.request("HEAD", f"{path}/manifests/{tag}", headers=_ACCEPT)
        if answer.status_code == 404:
            return None
        digest = answer.headers.get("Docker-Content-Digest")
        if digest is None:
            # The header is optional in the specification.
            return digest_of(self._manifest(f"{path}/manifests/{tag}", f"tag {tag}"))
        try:
            check_digest(digest)
        except ContractError as error:
            raise BundleError(
                f"The bundle registry {self._transport.host} answered a wrong digest: {error}"
            ) from error
        return digest

    def _tags(self, repository: str) -> list[str]:
        tags = self._pages(f"{self._path(repository)}/tags/list", "tags")
        return [tag for tag in tags if not names_referrers(tag)]

    def _pages(self, path: str, key: str, missing: str = "") -> Iterator[str]:
        """Yield the entries of a list that the registry may give in pages.

        There are none if the registry has no such list, unless `missing` says that it must.
        """
        url: str | None = path
        seen = set()
        while url:
            if url in seen:
                raise BundleError(
                    f"The bundle registry {self._transport.host} lists its pages in a circle."
                )
            seen.add(url)
            answer = self._transport.request("GET", url, missing=missing)
            if answer.status_code == 404:
                return
            try:
                yield from answer.json().get(key) or []
            except (ValueError, AttributeError, TypeError) as error:
                raise BundleError(
                    f"The bundle registry {self._transport.host} answered what isn't a list."
                ) from error
            following = answer.links.get("next", {}).get("url")
            url = urljoin(answer.url, following) if following else None
