"""Which small files travel together.

A bundle's small files are put into several archives, so that ten thousand of them are some twenty
requests, and one that changed is sent again with its neighbours alone. Where an archive ends is a
question of names and sizes, never of contents, and the answer heals: a file that is new, gone or
longer moves the ends near it, and from the next common end on all archives are what they were.
"""

import hashlib
from collections.abc import Iterable, Iterator

from modelops.bundles.archive import archived_size
from modelops.bundles.tree import BundleFile

LEAST_BYTES = 512 * 2**10
"""An archive has as much at least, unless it's the last one; a mebibyte on average."""
MOST_BYTES = 2 * 2**20
"""An archive that has as much ends: no more than that is sent again for a small file."""

_BETWEEN_ENDS = 512 * 2**10
"""A file is an end once in as many bytes on average, whatever the sizes of the files.

Much less than `LEAST_BYTES` would make archives more equal, but then two ways to divide the same
files would hardly ever meet again at a common end.
"""


def grouped(files: Iterable[BundleFile]) -> Iterator[list[BundleFile]]:
    """Yield the files in groups, each the content of an archive; the order stays.

    A group ends after the first file that is an end once the group has `LEAST_BYTES`, or that gives
    it `MOST_BYTES`.

    Args:
        files: sorted by name.
    """
    group: list[BundleFile] = []
    size = 0
    for file in files:
        group.append(file)
        size += archived_size(file)
        if size >= MOST_BYTES or (size >= LEAST_BYTES and _is_end(file)):
            yield group
            group, size = [], 0
    if group:
        yield group


def _is_end(file: BundleFile) -> bool:
    """Return whether the hash of the file's name says so; a large file's more often."""
    chance = int.from_bytes(hashlib.sha256(file.name.encode()).digest()[:8])
    return chance * _BETWEEN_ENDS < archived_size(file) << 64
