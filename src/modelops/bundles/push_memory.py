"""What earlier pushes found out about a directory's files, so that nothing is read twice.

A file of JSON for each directory under MODELOPS_HOME. It holds no content, only digests and the
config, and can be deleted at any time; one that is damaged counts as none. Whatever it says, what
is sent is hashed again on its way.
"""

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modelops import __version__
from modelops.bundles.files import draft_beside
from modelops.bundles.packing import PackedBlob, UnhashedBlob
from modelops.bundles.tree import BundleFile
from modelops.contracts import ContractError
from modelops.contracts.bundles import check_digest
from modelops.core.settings import Home

_FORMAT = 2
_MOST_DIRECTORIES = 200
_TICK = 50_000_000
"""Nanoseconds in which a file may change twice without another time: some clock ticks."""
_SECOND = 1_000_000_000
_PACKED = struct.Struct(">QQqqqq").pack


class PushMemory:
    """What is known of the files of one directory.

    It goes by a file's device, inode, size, mode and times (that of its content and that of its
    inode, which nobody can set). A file that changed just before it was listed might change once
    more within the same tick of the clock and look the same: of such a file nothing is kept, as git
    does it ("racy git").
    """

    def __init__(self, root: Path, home: Home | None = None) -> None:
        """Read what is known; call it before the files are listed.

        Args:
            root: the bundle's directory.
            home: where memories are kept; without it, that of the environment.
        """
        self._now = time.time_ns()
        where = os.path.realpath(root)
        name = hashlib.sha256(os.fsencode(where)).hexdigest()[:32]
        self._path = (home or Home.current()).push_memory / f"{name}.json"
        self._known = _read(self._path)
        self._used: dict[str, Any] = {}

    def config(self, files: Iterable[BundleFile]) -> bytes | None:
        """Return the config that these files gave; None if it isn't known."""
        found = self._recall("config", files)
        return found.encode() if isinstance(found, str) else None

    def learn_config(self, files: Iterable[BundleFile], config: bytes) -> None:
        """Keep the config that these files gave."""
        self._learn("config", tuple(files), config.decode())

    def blob(self, blob: UnhashedBlob) -> PackedBlob | None:
        """Return the blob with the digest that its files gave; None if it isn't known."""
        found = self._recall(_what(blob), blob.files)
        try:
            digest, size = found
            check_digest(digest)
            return blob.packed(digest, int(size))
        except (TypeError, ValueError, ContractError):
            return None

    def learn_blob(self, blob: UnhashedBlob, packed: PackedBlob) -> None:
        """Keep the digest that the blob's files gave."""
        found = [packed.descriptor.digest, packed.descriptor.size]
        self._learn(_what(blob), blob.files, found)

    def save(self) -> None:
        """Write down what was asked for and learnt, and forget all else.

        Nothing happens if it's written already, or if it can't be: the next push takes longer then.
        """
        if self._used == self._known:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._path, self._used)
            _forget_oldest(self._path.parent)
        except OSError:
            return
        self._known = dict(self._used)

    def forget(self) -> None:
        """Forget all about the directory: it isn't what it seemed to be."""
        self._known, self._used = {}, {}
        self._path.unlink(missing_ok=True)

    def _recall(self, what: str, files: Iterable[BundleFile]) -> Any:
        if not self._known:
            return None
        key = _key(what, files)
        found = self._known.get(key)
        if found is not None:
            self._used[key] = found
        return found

    def _learn(self, what: str, files: tuple[BundleFile, ...], found: Any) -> None:
        if _are_settled(files, self._now):
            self._used[_key(what, files)] = found


def _what(blob: UnhashedBlob) -> str:
    return json.dumps([blob.media_type, blob.annotations], sort_keys=True)


def _key(what: str, files: Iterable[BundleFile]) -> str:
    parts = [what.encode()]
    for file in files:
        parts += (file.name.encode(), _PACKED(*file.identity))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _are_settled(files: Iterable[BundleFile], now: int) -> bool:
    for file in files:
        written, changed = file.identity[-2:]
        latest = max(written, changed)
        # File systems that know whole seconds only know even ones at worst.
        if latest >= now - 2 * _SECOND and (latest >= now - _TICK or changed % _SECOND == 0):
            return False
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        first, _, text = path.read_bytes().partition(b"\n")
        if first.decode() != _seal(text):
            return {}
        known: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    return known


def _write(path: Path, known: dict[str, Any]) -> None:
    text = json.dumps(known, sort_keys=True).encode()
    draft = draft_beside(path)
    try:
        with draft.open("xb") as file:
            # No fsync: what a power cut leaves of it isn't sealed, and costs a second reading.
            file.write(_seal(text).encode() + b"\n" + text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _seal(text: bytes) -> str:
    """Return what tells a whole memory of this version from any other."""
    head = f"{_FORMAT} {__version__} "
    return head + hashlib.sha256(head.encode() + text).hexdigest()


def _forget_oldest(folder: Path) -> None:
    memories = list(folder.glob("*.json"))
    if len(memories) > _MOST_DIRECTORIES:
        memories.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in memories[:-_MOST_DIRECTORIES]:
            path.unlink(missing_ok=True)
