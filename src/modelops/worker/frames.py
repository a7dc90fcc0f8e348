"""Frames: how a worker and its child talk, and how results cross Dask.

A frame is a 4-byte big-endian length, that many bytes of JSON, then raw payloads:

    length | {"header": {…}, "payloads": [sizes in bytes]} | payload | payload | …

The JSON is canonical (no NaN, keys sorted). Nothing in a frame can name code to be run.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from modelops.contracts import ContractError, canonical_json
from modelops.core.errors import ServiceError

MAX_HEADER_BYTES = 16 * 2**20
"""The most that the JSON of a frame may take."""
MAX_PAYLOAD_BYTES = 2**30
"""The most that the payloads of a frame may take together."""
MAX_PAYLOADS = 65_536
"""How many payloads a frame may have."""

Payload = bytes | memoryview
"""Bytes; of a frame that was decoded, where they lie in it."""

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Parts:
    """A payload that is yet to be sent, whose bytes lie in several places."""

    parts: tuple[Payload, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)


def joined(payload: Payload | Parts) -> Payload:
    """Return a payload in one place."""
    return b"".join(payload.parts) if isinstance(payload, Parts) else payload


class FrameError(ServiceError):
    """These bytes aren't a frame, or what should become one is over a limit."""


@dataclass(frozen=True)
class Frame:
    """A header, which is JSON, and the payloads that it speaks of."""

    header: Mapping[str, Any]
    payloads: tuple[Payload | Parts, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", MappingProxyType(dict(self.header)))

    @property
    def received(self) -> tuple[Payload, ...]:
        """The payloads of a frame that was read: each lies in one place."""
        return tuple(joined(payload) for payload in self.payloads)


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame; equal frames give equal bytes.

    Raises:
        FrameError: if the header isn't JSON, or a limit is passed.
    """
    return b"".join(encode_parts(frame).parts)


def encode_parts(frame: Frame) -> Parts:
    """Return what `encode` does, where it lies.

    Raises:
        FrameError: as for `encode`.
    """
    sizes = [len(payload) for payload in frame.payloads]
    _check_sizes(sizes)
    parts: dict[str, Any] = {"header": frame.header, "payloads": sizes}
    try:
        text = canonical_json(parts)
    except ContractError as error:
        raise FrameError(f"a frame's header isn't JSON: {error}") from error
    _check_header_size(len(text))
    rest = (
        part
        for payload in frame.payloads
        for part in (payload.parts if isinstance(payload, Parts) else (payload,))
    )
    return Parts((_LENGTH.pack(len(text)), text, *rest))


def decode(data: Payload) -> Frame:
    """Return the one frame that `data` is.

    Raises:
        FrameError: if it's cut short, has bytes beyond its end, or isn't a frame.
    """
    view = memoryview(data)
    position = 0

    def part(size: int) -> memoryview:
        nonlocal position
        found = view[position : position + size]
        if len(found) < size:
            raise FrameError(f"a frame ends {size - len(found)} bytes before its part does")
        position += size
        return found

    (length,) = _LENGTH.unpack(part(_LENGTH.size))
    _check_header_size(length)
    header, sizes = _parse(bytes(part(length)))
    frame = Frame(header, tuple(part(size) for size in sizes))
    if position != len(view):
        raise FrameError(f"{len(view) - position} bytes follow the end of the frame")
    return frame


def read_frame(read: Callable[[int], bytes | memoryview]) -> Frame | None:
    """Read one frame; None if the input ended before its first byte.

    `read(n)` returns 1 to n bytes, or none at the end of the input, as `os.read` does.

    Raises:
        FrameError: if the input ends inside the frame, or isn't a frame.
    """
    prefix = _read_exactly(read, _LENGTH.size, may_be_absent=True)
    if prefix is None:
        return None
    (length,) = _LENGTH.unpack(prefix)
    _check_header_size(length)
    header, sizes = _parse(_read_part(read, length))
    return Frame(header, tuple(_read_part(read, size) for size in sizes))


def _parse(text: bytes) -> tuple[dict[str, Any], list[int]]:
    try:
        parts = json.loads(text.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame's header isn't JSON: {error}") from error
    if not isinstance(parts, dict) or set(parts) != {"header", "payloads"}:
        raise FrameError("a frame's JSON must have the keys header and payloads, and no other")
    header, sizes = parts["header"], parts["payloads"]
    if not isinstance(header, dict):
        raise FrameError("a frame's header must be an object")
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise FrameError("a frame's payloads must be a list of sizes in bytes")
    _check_sizes(sizes)
    return header, sizes


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} isn't JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _check_header_size(size: int) -> None:
    if size > MAX_HEADER_BYTES:
        raise FrameError(f"a frame's header takes {size} bytes, over {MAX_HEADER_BYTES}")


def _check_sizes(sizes: list[int]) -> None:
    if len(sizes) > MAX_PAYLOADS:
        raise FrameError(f"a frame has {len(sizes)} payloads, over {MAX_PAYLOADS}")
    if sum(sizes) > MAX_PAYLOAD_BYTES:
        raise FrameError(f"a frame's payloads take {sum(sizes)} bytes, over {MAX_PAYLOAD_BYTES}")


def _read_part(read: Callable[[int], bytes | memoryview], size: int) -> bytes:
    part = _read_exactly(read, size, may_be_absent=False)
    return b"" if part is None else part


def _read_exactly(
    read: Callable[[int], bytes | memoryview], size: int, *, may_be_absent: bool
) -> bytes | None:
    parts: list[Payload] = []
    left = size
    while left:
        part = read(left)
        if not part:
            if may_be_absent and not parts:
                return None
            raise FrameError(f"the input ended {left} bytes before the frame's part did")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
