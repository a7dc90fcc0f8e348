"""A table of SHA-256 digests that takes 44 bytes a row."""

from bisect import bisect_left

import numpy as np

DIGEST_BYTES = 32
_PREFIX_BYTES = 8


class DigestTable:
    """Finds the rows of a digest by its first eight bytes, in which equal ones are rare."""

    def __init__(self, digests: bytes) -> None:
        """Make a table of digests, one after the other: from row 0 on."""
        self.digests = digests
        prefixes = np.frombuffer(digests, ">u8")[:: DIGEST_BYTES // _PREFIX_BYTES].astype(np.uint64)
        order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[order].data
        self._rows = order.astype(np.uint32).data

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def digest(self, row: int) -> bytes:
        """Return the digest of a row."""
        return self.digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES]

    def rows(self, digest: bytes) -> list[int]:
        """Return the rows that have this digest, ascending.

        Raises:
            ValueError: if it hasn't 32 bytes.
        """
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        prefix = int.from_bytes(digest[:_PREFIX_BYTES], "big")
        prefixes, rows = self._prefixes, []
        at = bisect_left(prefixes, prefix)
        while at < len(prefixes) and prefixes[at] == prefix:
            row = self._rows[at]
            if self.digests.startswith(digest, row * DIGEST_BYTES):
                rows.append(row)
            at += 1
        return rows
