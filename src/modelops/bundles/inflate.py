"""Reading gzip (RFC 1952) in pieces, without being led to fill the disk."""

import zlib
from collections.abc import Iterable, Iterator

from modelops.core.errors import BundleError

_PIECE = 2**20


def gunzip(compressed: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield what was compressed, in pieces of at most 1 MiB.

    Args:
        compressed: one gzip stream in small pieces (each may be copied once a MiB that is in it).
        max_bytes: how much there may be in it.

    Raises:
        BundleError: if it isn't one stream of gzip, whole and nothing behind it; or has more in it.
    """
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    total = 0
    for data in compressed:
        if inflater.eof:
            raise BundleError("The archive of a bundle has something behind its end.")
        rest = data
        # The last pieces come when nothing is left to be given.
        while plain := _more(inflater, rest):
            total += len(plain)
            if total > max_bytes:
                raise BundleError(
                    f"An archive of the bundle unpacks to more than {max_bytes:,} bytes."
                )
            yield plain
            rest = inflater.unconsumed_tail
        if inflater.unused_data:
            raise BundleError("The archive of a bundle has something behind its end.")
    if not inflater.eof:
        raise BundleError("The archive of a bundle ends too early.")


def _more(inflater: "zlib._Decompress", data: bytes) -> bytes:
    try:
        return inflater.decompress(data, _PIECE) if not inflater.eof else b""
    except zlib.error as error:
        raise BundleError(f"The archive of a bundle can't be read: {error}") from error
