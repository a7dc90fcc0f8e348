"""Opening the place that a URL names."""

from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from modelops.result_store.addresses import open_address
from modelops.result_store.folder import FolderPlace
from modelops.result_store.object_store import ObjectStorePlace
from modelops.result_store.places import SegmentPlace


def open_place(url: str) -> SegmentPlace:
    """Return the place of segments in an object store: a URL that fsspec opens, or a path.

    Raises:
        ResultStoreError: if nothing opens it.
    """
    filesystem, path = open_address(url)
    if isinstance(filesystem, LocalFileSystem):
        return FolderPlace(Path(path))
    return ObjectStorePlace(url, filesystem, path)
