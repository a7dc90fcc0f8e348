"""Unpacked bundles on this machine, by digest, shared by every process of it."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from modelops.bundles.artifact import (
    ARCHIVE_MEDIA_TYPE,
    FILE_MEDIA_TYPE,
    MODE,
    TITLE,
    Descriptor,
    ImageManifest,
)
from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.unpack import Unpacker, UnpackLimits
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

_ENTRY_FILE = "entry.json"
_TREE = "tree"
_BYTECODE = "__pycache__"


class BundleCache:
    """A directory of bundles: `{digest}/tree/{name}/…` beside `{digest}/entry.json`.

    An entry appears by one rename, whole and verified. It is opened by a fingerprint of its files'
    names, sizes, times and modes, without reading them. `__pycache__` has no say in it: Python
    writes there when a bundle's code is imported.
    """

    def __init__(self, root: Path, limits: UnpackLimits | None = None) -> None:
        """Make a cache.

        Args:
            root: its directory, made when the first bundle is fetched.
            limits: how much one bundle may be.
        """
        self._root = root
        self._limits = limits

    def fetch(self, ref: BundleRef, store: BundleStore) -> Path:
        """Return the directory of a bundle, fetched from `store` if it isn't here or was altered.

        Whoever else fetches the same bundle at the same time waits and takes what is there then.

        Raises:
            BundleError: if the bundle isn't there, isn't what its digest says, or can't be
                unpacked here (no space, no permission).
        """
        name = ref.digest.replace(":", "-")
        entry = self._root / name
        try:
            tree = _open(entry)
            if tree is not None:
                return tree
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self._root / f".{name}.lock"):
                return _open(entry) or self._make(entry, ref, store)
        except OSError as error:
            raise BundleError(
                f"{ref} can't be unpacked in {self._root}: {error}",
                hint="Check the space and the permissions there.",
            ) from error

    def _make(self, entry: Path, ref: BundleRef, store: BundleStore) -> Path:
        """Make an entry; the caller holds its lock, so that what was left half-made is nobody's."""
        for left in self._root.glob(f".{entry.name}.*.d"):
            shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", suffix=".d", dir=self._root))
        try:
            made = staging / "made"
            self._unpack(made / _TREE, staging / "layer", ref, store)
            top = _top(made / _TREE)
            content = {"fingerprint": _fingerprint(made / _TREE)}
            (made / _ENTRY_FILE).write_text(json.dumps(content))
            if entry.exists():
                # What was altered goes aside, so that processes that run in it keep their files
                # until the new ones are there.
                entry.rename(staging / "altered")
            made.rename(entry)
        finally:
            # What can't be removed (a bundle's code may have made it so) is tried again next time.
            shutil.rmtree(staging, ignore_errors=True)
        return entry / _TREE / top.name

    def _unpack(self, tree: Path, layer_file: Path, ref: BundleRef, store: BundleStore) -> None:
        manifest = ImageManifest.parse(store.read_manifest(ref))
        tree.mkdir(parents=True)
        unpacker = Unpacker(tree, self._limits)
        for layer in manifest.layers:
            if layer.media_type == ARCHIVE_MEDIA_TYPE:
                store.fetch_blob(ref, layer, layer_file)
                unpacker.add_archive(layer_file)
            elif layer.media_type == FILE_MEDIA_TYPE:
                name = layer.annotations.get(TITLE, "")
                store.fetch_blob(ref, layer, unpacker.add_file(name, layer.size, _mode(layer)))
            else:
                raise BundleError(
                    f"{ref} has a layer of the type {layer.media_type}, which isn't known.",
                    hint="A newer version of ModelOps may have made it: update this one.",
                )


def _open(entry: Path) -> Path | None:
    """Return the bundle's directory in an entry; None if there is no entry or it was altered."""
    tree = entry / _TREE
    try:
        content = json.loads((entry / _ENTRY_FILE).read_text())
        return _top(tree) if content["fingerprint"] == _fingerprint(tree) else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _top(tree: Path) -> Path:
    """Return the one directory that everything in a bundle is in."""
    entries = list(tree.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        raise BundleError(
            f"The bundle isn't one directory: it has {len(entries)} entries at the top."
        )
    return entries[0]


def _mode(layer: Descriptor) -> int:
    text = layer.annotations.get(MODE, "0644")
    try:
        return int(text, 8)
    except ValueError:
        raise BundleError(f"A layer of the bundle has the mode {text!r}.") from None


def _fingerprint(tree: Path) -> str:
    digest = hashlib.sha256()
    for line in sorted(_lines(tree, b"")):
        digest.update(line)
    return digest.hexdigest()


def _lines(directory: Path | str, prefix: bytes) -> Iterator[bytes]:
    """Yield a line for each file (name, mode, size, time) and directory (name, mode)."""
    with os.scandir(directory) as entries:
        for entry in entries:
            name = prefix + os.fsencode(entry.name)
            status = entry.stat(follow_symlinks=False)
            if not entry.is_dir(follow_symlinks=False):
                facts = (status.st_mode, status.st_size, status.st_mtime_ns)
                yield b"%s\0%d %d %d\0" % (name, *facts)
            elif entry.name != _BYTECODE:
                yield b"%s/\0%d\0" % (name, status.st_mode)
                yield from _lines(entry.path, name + b"/")
