"""An OCI registry as a store of bundles. API: OCI distribution spec 1.1."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import requests

from modelops.bundles.artifact import (
    IMAGE_MANIFEST_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    Descriptor,
    check_bytes,
    digest_of,
    tag_of,
    write_checked,
)
from modelops.bundles.bundle_store import StoredBundle
from modelops.bundles.packing import PackedBlob, PackedBundle
from modelops.bundles.transport import Body, RegistryTransport
from modelops.contracts import BundleRef, ContractError
from modelops.contracts.bundles import check_digest, check_repository
from modelops.core.errors import BundleError
from modelops.core.near_miss import did_you_mean_or_all

_READ = 2**20
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ACCEPT = {"Accept": IMAGE_MANIFEST_MEDIA_TYPE}


class RegistryStore:
    """Bundles in a registry. Every manifest and blob is checked here, not by the transport."""

    def __init__(self, address: str) -> None:
        """Make a store; nothing is sent yet.

        Args:
            address: `host[:port]`, and `/prefix` that repositories' names begin with.

        Raises:
            BundleError: if the address has another form.
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
        self._transport = RegistryTransport(host)

    def push(self, repository: str, packed: PackedBundle) -> BundleRef:
        """Store a bundle; see `BundleStore.push`."""
        check_repository(repository)
        path = self._path(repository)
        for blob in packed.blobs:
            self._upload(path, blob)
        tag = tag_of(packed.version)
        if self._digest_of_tag(path, tag) != packed.digest:
            self._transport.request(
                "PUT",
                f"{path}/manifests/{tag}",
                headers={"Content-Type": IMAGE_MANIFEST_MEDIA_TYPE},
                body=packed.manifest,
                missing=f"repository {repository}",
            )
        return BundleRef(repository, packed.digest)

    def read_manifest(self, ref: BundleRef) -> bytes:
        """Return a bundle's manifest; see `BundleStore.read_manifest`."""
        data = self._manifest(f"{self._path_of(ref)}/manifests/{ref.digest}", str(ref))
        return check_bytes(data, ref.digest, f"The manifest of {ref}")

    def fetch_blob(self, ref: BundleRef, descriptor: Descriptor, target: Path) -> None:
        """Download a blob; see `BundleStore.fetch_blob`."""

        def write(response: requests.Response) -> None:
            with target.open("wb") as file:
                write_checked(
                    response.iter_content(_READ), descriptor, file, f"{descriptor.digest} of {ref}"
                )

        path = f"{self._path_of(ref)}/blobs/{descriptor.digest}"
        self._transport.request("GET", path, missing=f"{descriptor.digest} of {ref}", read=write)

    def resolve(self, repository: str, tag: str) -> BundleRef:
        """Return the bundle of a tag; see `BundleStore.resolve`."""
        check_repository(repository)
        digest = self._digest_of_tag(self._path(repository), tag) if _TAG.fullmatch(tag) else None
        if digest is None:
            raise BundleError(
                f"There is no {repository}:{tag} in the bundle registry {self._transport.host}.",
                hint=did_you_mean_or_all(tag, self._tags(repository)),
            )
        return BundleRef(repository, digest)

    def list_repositories(self) -> list[str]:
        """Return the repositories; see `BundleStore.list_repositories`."""
        names = self._pages("/v2/_catalog", "repositories")
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

    def _path_of(self, ref: BundleRef) -> str:
        if ref.host is None:
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
        digest = blob.descriptor.digest
        there = self._transport.request("HEAD", f"{path}/blobs/{digest}")
        if there.ok:
            return
        self._transport.upload(path, digest, Body(blob.chunks, blob.descriptor.size))

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
        return list(self._pages(f"{self._path(repository)}/tags/list", "tags"))

    def _pages(self, path: str, key: str) -> Iterator[str]:
        """Yield the entries of a list that the registry may give in pages; none if it has none."""
        url: str | None = path
        while url:
            answer = self._transport.request("GET", url)
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
