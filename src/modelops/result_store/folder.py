"""Segments in a folder of this machine, or of a file server that is mounted here."""

import errno
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelops.core.errors import ResultStoreError
from modelops.result_store.places import (
    ROOT,
    SegmentKey,
    StoredSegment,
    is_environment,
    is_run,
    parse_file,
)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TRIES = 10
_DRAFT = re.compile(r"\.[0-9a-f]{64}\.seg\.[0-9a-f]{32}")
_DRAFT_AGE = timedelta(hours=1)
"""A draft that is older isn't being written any more."""
_GONE = (FileNotFoundError, NotADirectoryError)


class FolderPlace:
    """Segments as files. They are drafted beside their place, under a name that no reader takes."""

    def __init__(self, folder: Path) -> None:
        """Keep segments below a folder, which is made when something is written."""
        self.name = str(folder)
        self.is_writable = True
        self._root = folder / ROOT

    def put(self, key: SegmentKey, head: bytes, answer: bytes) -> None:
        """Write a segment.

        It isn't flushed to the disk: what a power cut takes is noticed by its hash and costs
        simulating again, less than waiting for the disk each time.
        """
        target = self._path(key)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            for attempt in range(_TRIES):
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _write(draft, target, head, answer)
                except (FileNotFoundError, FileExistsError):
                    # A collector took the folder, which was empty, away again.
                    if attempt == _TRIES - 1:
                        raise
                else:
                    return
        except OSError as error:
            raise self._unwritten(error) from error

    def keys(self, environment: str) -> Iterator[SegmentKey]:
        """List the segments of an environment."""
        for run in self._listed(self._root / environment):
            if is_run(run.name):
                for file in self._listed(Path(run.path)):
                    digest = parse_file(file.name)
                    if digest is not None:
                        yield SegmentKey(environment, run.name, digest)

    def environments(self) -> Iterator[str]:
        """List the environments of which there are segments, or were."""
        for environment in self._listed(self._root):
            if is_environment(environment.name):
                yield environment.name

    def has_run(self, environment: str, run_id: str) -> bool:
        """Return whether there are segments of a run in an environment."""
        files = self._listed(self._root / environment / run_id)
        return any(parse_file(file.name) is not None for file in files)

    def read_starts(
        self, keys: Sequence[SegmentKey], sizes: Sequence[int]
    ) -> list[bytes | ResultStoreError | None]:
        """Read the first bytes of segments."""
        return [self._read_start(key, size) for key, size in zip(keys, sizes, strict=True)]

    def read(self, key: SegmentKey) -> bytes | None:
        """Read a segment; None if it's gone."""
        try:
            return self._path(key).read_bytes()
        except _GONE:
            return None
        except OSError as error:
            raise self._unread(key, error) from error

    def stored(self) -> Iterator[StoredSegment]:
        """List all segments."""
        for environment in self.environments():
            # All of them first: a listing may pass over files while others are removed.
            for key in list(self.keys(environment)):
                with suppress(*_GONE):
                    state = self._path(key).stat()
                    written = datetime.fromtimestamp(state.st_mtime, UTC)
                    yield StoredSegment(key, state.st_size, written)

    def remove(self, keys: Sequence[SegmentKey]) -> list[bool]:
        """Remove segments; say for each whether it was still there."""
        return [self._remove(self._path(key)) for key in keys]

    def tidy(self, now: datetime) -> None:
        """Remove old drafts, and folders that are empty."""
        for environment in self._listed(self._root):
            if not is_environment(environment.name):
                continue
            for run in self._listed(Path(environment.path)):
                if is_run(run.name):
                    self._remove_drafts(Path(run.path), now - _DRAFT_AGE)
                    _remove_if_empty(Path(run.path))
            _remove_if_empty(Path(environment.path))

    def _path(self, key: SegmentKey) -> Path:
        return self._root / key.path

    def _read_start(self, key: SegmentKey, size: int) -> bytes | ResultStoreError | None:
        try:
            with self._path(key).open("rb", buffering=0) as file:
                parts = bytearray()
                while len(parts) < size and (part := file.read(size - len(parts))):
                    parts += part
                return bytes(parts)
        except _GONE:
            return None
        except OSError as error:
            return self._unread(key, error)

    def _listed(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as found:
                yield from found
        except _GONE:
            return
        except OSError as error:
            raise ResultStoreError(
                f"The results in {folder} can't be listed: {error.strerror}."
            ) from error

    def _remove_drafts(self, folder: Path, before: datetime) -> None:
        for file in self._listed(folder):
            if _DRAFT.fullmatch(file.name):
                with suppress(*_GONE):
                    if datetime.fromtimestamp(file.stat().st_mtime, UTC) < before:
                        self._remove(Path(file.path))

    def _remove(self, path: Path) -> bool:
        try:
            path.unlink()
        except _GONE:
            return False
        except OSError as error:
            raise ResultStoreError(f"{path} can't be removed: {error.strerror}.") from error
        return True

    def _unread(self, key: SegmentKey, error: OSError) -> ResultStoreError:
        return ResultStoreError(f"{self._path(key)} can't be read: {error.strerror}.")

    def _unwritten(self, error: OSError) -> ResultStoreError:
        message = f"Results can't be stored in {self.name}: {error.strerror}."
        if error.errno in _FULL:
            return ResultStoreError(message, hint="Free space there, or remove old results.")
        return ResultStoreError(message)


def _write(draft: Path, target: Path, head: bytes, answer: bytes) -> None:
    try:
        with draft.open("xb") as file:
            file.write(head)
            file.write(answer)
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _remove_if_empty(folder: Path) -> None:
    # It isn't empty, or another collector was first.
    with suppress(OSError):
        folder.rmdir()
