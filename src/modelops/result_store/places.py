"""Where segments are: a folder of this machine, or an object store.

    {url}/results-store/v1/{environment}/{run_id}/{digest}.seg

A segment appears at once, whole, under its name: in a folder by a rename, in an object store since
that shows no object before all of it is there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from modelops.core.errors import ResultStoreError
from modelops.core.naming import DNS_LABEL

ROOT = "results-store/v1"

_ENVIRONMENT = re.compile(r"[0-9a-f]{1,128}")
_FILE = re.compile(r"([0-9a-f]{64})\.seg")


class SegmentKey(NamedTuple):
    """Which segment: its environment, its run, and the SHA-256 of its head (32 raw bytes)."""

    environment: str
    run_id: str
    digest: bytes

    @property
    def file(self) -> str:
        """The segment's name in the folder of its run."""
        return f"{self.digest.hex()}.seg"

    @property
    def path(self) -> str:
        """Where the segment is below the root."""
        return f"{self.environment}/{self.run_id}/{self.file}"


@dataclass(frozen=True)
class StoredSegment:
    """A segment that is there, its size in bytes, and when it was written last."""

    key: SegmentKey
    size: int
    written: datetime


class SegmentPlace(Protocol):
    """Keeps segments. Every method raises ResultStoreError where the place can't do it."""

    @property
    def name(self) -> str:
        """The place as messages call it, without a password."""

    @property
    def is_writable(self) -> bool:
        """Whether segments can be written and removed; if not, they can only be read."""

    def put(self, key: SegmentKey, head: bytes, answer: bytes) -> None:
        """Write a segment: whole or not at all, in place of the one that is there."""

    def keys(self, environment: str) -> Iterator[SegmentKey]:
        """List the segments of an environment; what comes or goes meanwhile may be missing."""

    def environments(self) -> Iterator[str]:
        """List the environments of which there are segments, or were."""

    def has_run(self, environment: str, run_id: str) -> bool:
        """Return whether there are segments that were simulated for a run in an environment."""

    def read_starts(
        self, keys: Sequence[SegmentKey], sizes: Sequence[int]
    ) -> list[bytes | ResultStoreError | None]:
        """Read so many bytes of each, or all if it has fewer; None for what is gone."""

    def read(self, key: SegmentKey) -> bytes | None:
        """Read a segment; None if it's gone."""

    def stored(self) -> Iterator[StoredSegment]:
        """List all segments."""

    def remove(self, keys: Sequence[SegmentKey]) -> list[bool]:
        """Remove segments; say for each whether it was still there."""

    def tidy(self, now: datetime) -> None:
        """Remove what killed writers left, and folders that are empty."""


def parse_key(path: str) -> SegmentKey | None:
    """Return the key of a path below the root; None if it isn't a segment's."""
    parts = path.split("/")
    if len(parts) != 3:
        return None
    environment, run_id, file = parts
    digest = parse_file(file)
    if digest is None or not is_environment(environment) or not is_run(run_id):
        return None
    return SegmentKey(environment, run_id, digest)


def parse_file(file: str) -> bytes | None:
    """Return the digest in a segment's name; None if the name isn't a segment's."""
    match = _FILE.fullmatch(file)
    return bytes.fromhex(match[1]) if match else None


def is_environment(name: str) -> bool:
    """Return whether this is a hash in hexadecimal digits."""
    return _ENVIRONMENT.fullmatch(name) is not None


def is_run(name: str) -> bool:
    """Return whether this is the name of a run."""
    return DNS_LABEL.fullmatch(name) is not None


def check_environment(name: str) -> str:
    """Return the name of an environment.

    Raises:
        ValueError: if it isn't a hash in lower-case hexadecimal digits.
    """
    if not is_environment(name):
        raise ValueError(f"an environment is named by a hash in hexadecimal digits, not {name!r}")
    return name
