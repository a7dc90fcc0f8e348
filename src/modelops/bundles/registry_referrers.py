"""Lists of referrers in a registry: its API, or a tag where it has none.

API: OCI distribution spec 1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

import random
import re
import time
from collections.abc import Iterator
from urllib.parse import urljoin

import requests

from modelops.bundles.artifact import (
    IMAGE_MANIFEST_MEDIA_TYPE,
    INDEX_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
)
from modelops.bundles.referrers import (
    MAX_LISTED,
    ListedReferrer,
    Referrer,
    ReferrerIndex,
    check_listed,
)
from modelops.bundles.transport import RegistryTransport
from modelops.core.errors import BundleError

_READ = 2**16
_ACCEPT = {"Accept": INDEX_MEDIA_TYPE}
_ATTEMPTS = 20
# A process may be held up for as long as the shorter one whatever the network does.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


# The tag of a list, and what older signing tools hang on to it.
_REFERRERS_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z]+)?")


def names_referrers(tag: str) -> bool:
    """Return whether a tag names what is said about a bundle, not a bundle."""
    return _REFERRERS_TAG.fullmatch(tag) is not None


class RegistryReferrers:
    """The referrers of one manifest in a registry."""

    def __init__(self, transport: RegistryTransport, path: str, digest: str) -> None:
        """Make the list; nothing is sent yet.

        Args:
            transport: to the registry.
            path: `/v2/{name}` of the repository.
            digest: that of the manifest that is referred to.
        """
        self._transport = transport
        self._path = path
        self._digest = digest
        self._tag = f"{path}/manifests/{digest.replace(':', '-')}"

    def listed(self) -> list[ListedReferrer]:
        """Return all referrers, of any kind; none if nobody refers to the manifest.

        Raises:
            BundleError: if the list can't be read, isn't one or is too long.
        """
        by_api = self._by_api()
        return (self._by_tag() or ReferrerIndex()).manifests if by_api is None else by_api

    def add(self, referrer: Referrer) -> None:
        """Store the manifest of a referrer whose blobs are there, and have it listed.

        Raises:
            BundleError: if it can't be stored, or others write the list all the time.
        """
        answer = self._transport.request(
            "PUT",
            f"{self._path}/manifests/{referrer.listed.digest}",
            headers={"Content-Type": IMAGE_MANIFEST_MEDIA_TYPE},
            body=referrer.manifest,
            missing="such repository",
        )
        # With this header a registry says that it lists the referrer by itself.
        if "OCI-Subject" not in answer.headers and self._by_api() is None:
            self._add_to_tag(referrer.listed)

    def _add_to_tag(self, added: ListedReferrer) -> None:
        """Add to the list under the tag.

        Registries replace a tag without asking what it was, so that of two writers who read the
        same list the later one drops what the earlier one added. So we look again when whoever read
        before us has written too, as far as they take as long as we did, and add it anew if it was
        dropped.
        """
        for _ in range(_ATTEMPTS):
            began = time.monotonic()
            index = self._by_tag() or ReferrerIndex()
            if not _lists(index, added):
                if len(index.manifests) >= MAX_LISTED:
                    raise BundleError(
                        f"{self._digest} has {len(index.manifests):,} referrers in the bundle "
                        f"registry {self._transport.host}, no room for one more.",
                        hint="Remove those that nobody needs.",
                    )
                self._transport.request(
                    "PUT",
                    self._tag,
                    headers={"Content-Type": INDEX_MEDIA_TYPE},
                    body=index.with_one_more(added).encode(),
                    missing="such repository",
                )
                took = time.monotonic() - began
                # The random part lets two who drop each other's get apart.
                pause = max(took, _SHORTEST_PAUSE / 2) * random.uniform(2, 4)  # noqa: S311
                time.sleep(min(pause, _LONGEST_PAUSE))
            if _lists(self._by_tag() or ReferrerIndex(), added):
                return
        raise BundleError(
            f"{self._digest} can't get a referrer in the bundle registry {self._transport.host}: "
            "others write its list at the same time, again and again.",
            hint="Try it again.",
        )

    def _by_api(self) -> list[ListedReferrer] | None:
        """Return what the registry's API lists; None if it has none."""
        first = self._get(f"{self._path}/referrers/{self._digest}")
        if first is None:
            return None
        return check_listed(self._pages(*first), self._digest)

    def _pages(self, data: bytes, answer: requests.Response) -> Iterator[ListedReferrer]:
        # A page may be empty, so that the number of referrers doesn't bound that of pages.
        for _ in range(MAX_LISTED):
            yield from ReferrerIndex.parse(
                data, f"What lists the referrers of {self._digest}"
            ).manifests
            following = answer.links.get("next", {}).get("url")
            if not following:
                return
            page = self._get(urljoin(answer.url, following))
            if page is None:
                raise BundleError(f"The list of the referrers of {self._digest} breaks off.")
            data, answer = page
        raise BundleError(f"The list of the referrers of {self._digest} has no end.")

    def _by_tag(self) -> ReferrerIndex | None:
        found = self._get(self._tag)
        if found is None:
            return None
        return ReferrerIndex.parse(found[0], f"What lists the referrers of {self._digest}")

    def _get(self, path: str) -> tuple[bytes, requests.Response] | None:
        """Return an index and the answer that it came in; None if there is none."""
        received = bytearray()

        def read(response: requests.Response) -> None:
            received.clear()
            for chunk in response.iter_content(_READ):
                received.extend(chunk)
                if len(received) > MAX_MANIFEST_BYTES:
                    raise BundleError(
                        f"The list of the referrers of {self._digest} is larger than a manifest "
                        "may be."
                    )

        answer = self._transport.request("GET", path, headers=_ACCEPT, read=read)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        # Some registries answer any path with something of another kind.
        return (bytes(received), answer) if answer.ok and kind == INDEX_MEDIA_TYPE else None


def _lists(index: ReferrerIndex, referrer: ListedReferrer) -> bool:
    return any(item.digest == referrer.digest for item in index.manifests)
