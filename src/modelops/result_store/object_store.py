"""Segments in an object store, by whatever file system fsspec has for its URL."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from modelops.core.errors import ResultStoreError
from modelops.result_store.addresses import shown, told
from modelops.result_store.places import (
    ROOT,
    SegmentKey,
    StoredSegment,
    is_environment,
    parse_key,
)

_REMOVALS = 16
"""How many objects are removed at the same time."""
_READ_ONLY = frozenset({"http", "https"})
_TIMES = ("LastModified", "last_modified", "mtime")
"""What the file systems of S3, Azure and Google, and others, call the time of an object."""


class ObjectStorePlace:
    """Segments as objects.

    A file system that isn't an object store's, and shows a file before all of it is there, does
    too: what is read is checked against its hash.
    """

    def __init__(self, url: str, filesystem: Any, path: str) -> None:
        """Keep segments below `path` in a file system of fsspec.

        Args:
            url: what the file system was opened by; it may hold a password.
            filesystem: of fsspec.
            path: a folder in it.
        """
        self.name = shown(url)
        protocols = filesystem.protocol
        named = {protocols} if isinstance(protocols, str) else set(protocols)
        self.is_writable = not named & _READ_ONLY
        self._url = url
        self._filesystem = filesystem
        self._root = f"{path.rstrip('/')}/{ROOT}"

    def put(self, key: SegmentKey, head: bytes, answer: bytes) -> None:
        """Write a segment by one request, or one that ends a transfer in parts."""
        try:
            self._put(self._path(key), head + answer)
        except Exception as error:  # noqa: BLE001 — as in `_try`
            raise self._error("Results can't be stored in", error) from None

    def keys(self, environment: str) -> Iterator[SegmentKey]:
        """List the segments of an environment."""
        for path in self._find(environment, detail=False):
            key = self._parse(path)
            if key is not None:
                yield key

    def environments(self) -> Iterator[str]:
        """List the environments of which there are segments."""
        for path in self._list(self._root):
            name = path.rstrip("/").rpartition("/")[2]
            if is_environment(name):
                yield name

    def has_run(self, environment: str, run_id: str) -> bool:
        """Return whether there are segments of a run in an environment."""
        paths = self._list(f"{self._root}/{environment}/{run_id}")
        return any(self._parse(path) is not None for path in paths)

    def read_starts(
        self, keys: Sequence[SegmentKey], sizes: Sequence[int]
    ) -> list[bytes | ResultStoreError | None]:
        """Read the first bytes of segments, several at once where the file system can."""
        paths = [self._path(key) for key in keys]
        found = self._try(
            "Results can't be read in",
            lambda: self._filesystem.cat_ranges(
                paths, [0] * len(paths), list(sizes), on_error="return"
            ),
        )
        if found is None:
            return [None] * len(paths)
        return [self._start(part, size) for part, size in zip(found, sizes, strict=True)]

    def read(self, key: SegmentKey) -> bytes | None:
        """Read a segment; None if it's gone."""
        data = self._try(
            "Results can't be read in", lambda: self._filesystem.cat_file(self._path(key))
        )
        return None if data is None else bytes(data)

    def stored(self) -> Iterator[StoredSegment]:
        """List all segments."""
        for path, details in self._find("", detail=True).items():
            key = self._parse(path)
            written = self._written(path, details) if key else None
            if key is not None and written is not None:
                yield StoredSegment(key, int(details["size"]), written)

    def remove(self, keys: Sequence[SegmentKey]) -> list[bool]:
        """Remove segments; say for each whether it was still there, as far as the store tells."""
        if not self._filesystem.async_impl:
            return [self._remove(key) for key in keys]
        with ThreadPoolExecutor(_REMOVALS) as threads:
            return list(threads.map(self._remove, keys))

    def tidy(self, now: datetime) -> None:
        """Do nothing: an object store has no drafts and no folders."""

    def _path(self, key: SegmentKey) -> str:
        return f"{self._root}/{key.path}"

    def _parse(self, path: str) -> SegmentKey | None:
        # File systems don't agree on a slash before the first part.
        return parse_key(path.lstrip("/").removeprefix(self._root.lstrip("/") + "/"))

    def _put(self, path: str, data: bytes) -> None:
        try:
            self._filesystem.pipe_file(path, data)
        except FileNotFoundError:
            # An object store lacks the bucket, which isn't for us to make; others lack the folder.
            if self._filesystem.async_impl:
                raise
            self._filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._filesystem.pipe_file(path, data)

    def _find(self, folder: str, *, detail: bool) -> Any:
        path = f"{self._root}/{folder}" if folder else self._root
        # What others wrote since the last listing has to be in this one.
        self._filesystem.invalidate_cache()
        found = self._try(
            "Results can't be listed in", lambda: self._filesystem.find(path, detail=detail)
        )
        return found if found is not None else {}

    def _list(self, folder: str) -> list[str]:
        self._filesystem.invalidate_cache()
        found = self._try(
            "Results can't be listed in", lambda: self._filesystem.ls(folder, detail=False)
        )
        return list(found or ())

    def _start(self, part: Any, size: int) -> bytes | ResultStoreError | None:
        if isinstance(part, FileNotFoundError):
            return None
        if isinstance(part, Exception):
            return self._error("Results can't be read in", part)
        # Some HTTP servers know no ranges, and send all there is.
        return bytes(part[:size])

    def _written(self, path: str, details: dict[str, Any]) -> datetime | None:
        times = (details[name] for name in _TIMES if details.get(name))
        time = next(times, None)
        if time is None:
            time = self._try("Results can't be listed in", lambda: self._filesystem.modified(path))
        if isinstance(time, (int, float)):
            return datetime.fromtimestamp(time, UTC)
        if isinstance(time, datetime):
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        return None

    def _remove(self, key: SegmentKey) -> bool:
        path = self._path(key)
        done = self._try(
            "Results can't be removed from", lambda: (self._filesystem.rm_file(path), True)
        )
        return done is not None

    def _try(self, what: str, action: Callable[[], Any]) -> Any:
        """Do something; None if what it is about isn't there."""
        try:
            return action()
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 — each cloud's package has errors of its own
            # Not chained: it may have a signed URL in it.
            raise self._error(what, error) from None

    def _error(self, what: str, error: Exception) -> ResultStoreError:
        return ResultStoreError(f"{what} {self.name}: {told(self._url, error)}.")
