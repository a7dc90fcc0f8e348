"""A pulled bundle in a directory of the user's own."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.cache import BundleCache
from modelops.bundles.manifest import MANIFEST_FILE
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError


def check_out(ref: BundleRef, store: BundleStore, target: Path) -> None:
    """Fetch a bundle, verify it and put its files into a directory.

    A new directory appears by one rename, whole. Into one that is there and empty the files are
    moved once all of them are there, the manifest last. What can't be finished, or is interrupted,
    leaves nothing.

    Args:
        ref: the bundle.
        store: where it is.
        target: a directory that is empty or doesn't exist; those above it are made.

    Raises:
        BundleError: if `target` is something else or can't be written, or as for a store.
    """
    is_there = _is_empty_directory(target)
    try:
        # On the same file system as the target, so that files can be renamed.
        beside = target if is_there else _nearest_directory(target)
        staging = Path(tempfile.mkdtemp(prefix=".mops-pull-", dir=beside))
        try:
            tree = BundleCache(staging / "cache").fetch(ref, store)
            if is_there:
                _move_all(tree, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                tree.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise BundleError(
            f"{target} can't be written: {error.strerror or error}.",
            hint="Check the space and the permissions there.",
        ) from error


def _is_empty_directory(target: Path) -> bool:
    """Return whether the directory is there, and empty; False if there is nothing."""
    try:
        entries = list(target.iterdir())
    except FileNotFoundError:
        if target.is_symlink():
            raise BundleError(f"{target} is a link to nothing.", hint=_HINT) from None
        return False
    except NotADirectoryError:
        raise BundleError(f"{target} isn't a directory.", hint=_HINT) from None
    except OSError as error:
        raise BundleError(f"{target} can't be read: {error.strerror}.", hint=_HINT) from error
    if entries:
        raise BundleError(f"The directory {target} isn't empty.", hint=_HINT)
    return True


_HINT = "Name a directory that is new or empty: mops bundle pull REFERENCE DIR"


def _nearest_directory(target: Path) -> Path:
    return next(folder for folder in target.absolute().parents if folder.is_dir())


def _move_all(tree: Path, target: Path) -> None:
    """Move what is in a directory into another one, or nothing of it."""
    entries = sorted(tree.iterdir(), key=lambda entry: (entry.name == MANIFEST_FILE, entry.name))
    moved: list[Path] = []
    try:
        for entry in entries:
            moved.append(target / entry.name)
            entry.rename(moved[-1])
    except BaseException:
        for path in moved:
            with suppress(FileNotFoundError):
                path.rename(tree / path.name)
        raise
