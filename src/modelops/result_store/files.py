"""Single files of an object store beside its segments: each whole, or not there."""

import os
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from modelops.core.errors import ResultStoreError
from modelops.result_store.addresses import open_address, shown, told

_READ_ONLY = ("http://", "https://")


def read_file(url: str) -> bytes | None:
    """Return what a file holds; None if there is none.

    Raises:
        ResultStoreError: if that can't be found out.
    """
    filesystem, path = open_address(url)
    try:
        return bytes(filesystem.cat_file(path))
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 — each cloud's package has errors of its own
        # Not chained: it may have the URL in it.
        raise ResultStoreError(f"{shown(url)} can't be read: {told(url, error)}.") from None


def has_file(url: str) -> bool:
    """Return whether there is such a file.

    Raises:
        ResultStoreError: if nothing opens the URL.
    """
    filesystem, path = open_address(url)
    return bool(filesystem.exists(path))


def is_writable(url: str) -> bool:
    """Return whether an object store can be written by its URL: not by one of `http`."""
    return not url.startswith(_READ_ONLY)


def put_whole(url: str, data: bytes) -> None:
    """Write a file of an object store that appears whole or not at all.

    Raises:
        ResultStoreError: if the store can't be written by this URL.
    """
    if not is_writable(url):
        raise ResultStoreError(
            f"{url} can't be written: from here the object store can only be read.",
            hint="What writes to it runs in the cluster: a run, for example.",
        )
    filesystem, path = open_address(url)
    if not isinstance(filesystem, LocalFileSystem):
        # An object store shows an object once all of it is there.
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(path, data)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{os.getpid()}")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)
