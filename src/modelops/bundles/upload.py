"""Sending a blob to a registry. API: OCI distribution spec 1.1, "Pushing blobs"."""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import requests

from modelops.bundles.progress import TransferProgress
from modelops.bundles.reading import BlobSource
from modelops.bundles.retrying import NoSuchRangeError, PassingError
from modelops.bundles.transport import Body, RegistryTransport
from modelops.core.errors import BundleChangedError, BundleError, RegistryRefusalError

LARGEST_BODY = 256 * 2**20
"""What is larger is sent in several requests, for registries that lose all of a broken one."""
SMALLEST_BODY = 4 * 2**20
"""What is refused as too large isn't made smaller than this, or than the registry wants it."""

_BYTES = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_CREATED, _TOO_LARGE = 201, 413


class BlobUpload:
    """One blob on its way to a repository.

    It is sent in one request where that goes. If the connection breaks, the registry is asked how
    much it has and gets the rest; if a body is too large for it, or for what is between, it gets
    smaller ones. Each attempt reads all of the blob, so that it's hashed whole.
    """

    def __init__(
        self,
        transport: RegistryTransport,
        path: str,
        source: BlobSource,
        progress: TransferProgress,
    ) -> None:
        """Prepare an upload; nothing is sent yet.

        Args:
            transport: to the registry.
            path: of the repository, with /v2/.
            source: the blob.
            progress: is told what was sent.
        """
        self._transport = transport
        self._path = path
        self._source = source
        self._size = source.size
        self._progress = progress
        self._told = 0
        self._location = ""
        # How much the registry has; None if it isn't known.
        self._there: int | None = 0
        self._largest = LARGEST_BODY
        self._smallest = SMALLEST_BODY

    def send(self, digest: str, mount_from: str = "") -> None:
        """Send the blob, which has this digest.

        Args:
            digest: what the blob has; it's never finished with another.
            mount_from: a repository of the same registry that has it as far as is known, from
                where the registry may take it; empty for none.

        Raises:
            BundleChangedError: if what is read has another digest.
            BundleError: if the registry can't be reached, or refuses it.
        """
        if mount_from and self._mount(digest, mount_from):
            return
        self._to_the_end(digest)

    def stream(self) -> str:
        """Send the blob, whose digest isn't known before it's read, and return that.

        Raises:
            BundleError: as for `send`.
        """
        return self._to_the_end("")

    def _mount(self, digest: str, repository: str) -> bool:
        """Return whether the registry took the blob from another repository.

        If it began an upload instead, as it may, that is gone on with.
        """
        target = _with_query(f"{self._path}/blobs/uploads/", mount=digest, **{"from": repository})
        try:
            answer = self._transport.request("POST", target)
        except BundleError:
            # We may not read there, or it can't do such a thing. What is wrong with our own
            # repository is said when the blob is sent to it.
            return False
        if answer.status_code == _CREATED:
            return True
        if answer.ok and "Location" in answer.headers:
            self._note_location(answer)
        return False

    def _to_the_end(self, digest: str) -> str:
        self._progress.expect(self._size)
        in_vain = 0
        while True:
            before = self._there or 0
            try:
                return self._attempt(digest)
            except RegistryRefusalError as error:
                if error.status != _TOO_LARGE or not self._make_smaller():
                    raise
                self._there = None
            except PassingError as error:
                self._there = None
                finished = self._recover(digest, [error] * (in_vain + 1))
                if finished:
                    return digest
                if (self._there or 0) > before:
                    in_vain = 0
                else:
                    in_vain += 1
                    # It may be the size of the body that something on the way doesn't like.
                    self._make_smaller()

    def _recover(self, digest: str, errors: list[PassingError]) -> bool:
        """Wait for as long as these errors are worth, and find out how much the registry has.

        Returns:
            Whether it has all and finished it, and only its answer was lost.
        """

        def find_out() -> bool:
            if errors:
                raise errors.pop()
            if digest and self._is_finished(digest):
                return True
            self._ask()
            return False

        return self._transport.patiently(find_out)

    def _attempt(self, digest: str) -> str:
        """Send what the registry lacks and finish; return the digest."""
        if self._there is None:
            self._ask()
        if not self._location:
            self._begin()
        there = self._there or 0
        with closing(_Pieces(self._source, digest, self._tell)) as pieces:
            if digest and not there and self._size <= self._largest:
                self._put(digest, pieces.body(self._size))
                return digest
            pieces.skip(there)
            while there < self._size:
                end = min(self._size, there + self._largest)
                self._patch(there, end, pieces.body(end - there))
                there = self._there = end
            found = digest or pieces.digest
            self._put(found, b"")
            return found

    def _begin(self) -> None:
        answer = self._transport.once(
            "POST", f"{self._path}/blobs/uploads/", missing=f"path {self._path}"
        )
        self._note_location(answer)
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        if least.isascii() and least.isdecimal():
            self._smallest = max(self._smallest, int(least))
            self._largest = max(self._largest, self._smallest)

    def _patch(self, start: int, end: int, body: Body) -> None:
        # All at once is a stream, which any registry takes; a range is for one of several.
        whole = start == 0 and end == self._size
        span = {} if whole else {"Content-Range": f"{start}-{end - 1}"}
        answer = self._send("PATCH", self._location, {**_BYTES, **span}, body)
        self._note_location(answer)
        if _received(answer) not in (None, end):
            raise PassingError("it lost a part of what was sent")

    def _put(self, digest: str, body: Body | bytes) -> None:
        self._send("PUT", _with_query(self._location, digest=digest), _BYTES, body)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | bytes
    ) -> requests.Response:
        try:
            answer = self._transport.once(method, url, headers=headers, body=body)
        except NoSuchRangeError:
            self._location = ""
            raise
        if not answer.ok:
            # A registry that was started again, or cleaned up, may know nothing of it.
            self._location = ""
            raise PassingError("it lost the upload that it had begun")
        return answer

    def _is_finished(self, digest: str) -> bool:
        return self._transport.once("HEAD", f"{self._path}/blobs/{digest}").ok

    def _ask(self) -> None:
        """Find out how much the registry has; begin anew if it knows nothing of the upload."""
        location, self._location, self._there = self._location, "", 0
        if not location:
            return
        try:
            answer = self._transport.once("GET", location)
        except RegistryRefusalError:
            return
        if answer.ok:
            self._note_location(answer, location)
            self._there = _received(answer) or 0

    def _note_location(self, answer: requests.Response, otherwise: str = "") -> None:
        location = answer.headers.get("Location") or otherwise
        if not location:
            raise BundleError(
                f"The bundle registry {self._transport.host} doesn't say where to upload to."
            )
        self._location = urljoin(answer.url, location)

    def _make_smaller(self) -> bool:
        smaller = max(self._smallest, self._largest // 4)
        is_smaller = smaller < self._largest
        self._largest = smaller
        return is_smaller

    def _tell(self, position: int) -> None:
        self._progress.moved(position - self._told)
        self._told = position


class _Pieces:
    """Puts a blob's pieces into the bodies of requests, one after the other."""

    def __init__(
        self,
        source: BlobSource,
        digest: str,
        tell: Callable[[int], None],
    ) -> None:
        self._source = source
        self._size = source.size
        self._expected = digest
        self._tell = tell
        self._begin()

    @property
    def digest(self) -> str:
        """The blob's digest, once all of it was taken."""
        return self._reading.digest

    def close(self) -> None:
        """End the reading."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()

    def skip(self, size: int) -> None:
        """Pass over the next bytes, but hash them."""
        for _ in self._take(size):
            pass

    def body(self, size: int) -> Body:
        """Return a body of the next bytes."""
        start = self._position

        def take() -> Iterator[bytes]:
            if self._position != start:
                # It's led elsewhere with them, or has to say once more who we are.
                self.close()
                self._begin()
                self.skip(start)
            return self._take(size)

        return Body(take, size)

    def _begin(self) -> None:
        self._reading = self._source.read()
        self._pieces = iter(self._reading)
        self._rest = b""
        self._position = 0

    def _take(self, size: int) -> Iterator[bytes]:
        end = self._position + size
        while self._position < end:
            if not self._rest:
                self._rest = next(self._pieces, b"")
            left = end - self._position
            piece, self._rest = self._rest[:left], self._rest[left:]
            position = self._position + len(piece)
            if not piece or (position == self._size and not self._is_whole()):
                raise BundleChangedError(self._source.what)
            yield piece
            self._position = position
            self._tell(position)

    def _is_whole(self) -> bool:
        """Return whether the last piece was taken, and the blob is what it should be.

        This is asked before the end is sent, so that no registry takes what was altered.
        """
        is_over = not self._rest and not next(self._pieces, b"")
        return is_over and self._expected in ("", self._reading.digest)


def _received(answer: requests.Response) -> int | None:
    """Return how many bytes of an upload the registry has, if it says so."""
    found = _RANGE.fullmatch(answer.headers.get("Range", ""))
    # 0-0 is said of nothing as well as of one byte.
    return int(found[1]) + 1 if found and int(found[1]) else None


def _with_query(url: str, **more: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *more.items()]
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
