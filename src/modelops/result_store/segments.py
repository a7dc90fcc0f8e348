"""Segments: what a chunk of simulations gave, in one file; docs/result-store.md has the format.

    magic | tasks | size of the answer | SHA-256 of the answer | ids | which completed | answer

All but the answer is the head. A segment is named by the SHA-256 of its head, which holds that of
the answer: so the name vouches for every byte, and the head alone can be checked against it.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAGIC = b"MOPSSEG1"
ID_BYTES = 32
MAX_TASKS = 2**20
"""How many tasks a segment may have: a reader allocates no more than their ids take."""

_FIXED = struct.Struct(">8sIQ32s")


class DamagedSegmentError(Exception):
    """These bytes aren't the segment that their name says; what it held is simulated again."""


@dataclass(frozen=True)
class Segment:
    """What a chunk of simulations gave.

    Attributes:
        task_ids: SHA-256 task ids, 32 raw bytes each.
        completed: for each task whether it completed.
        answer: all that the worker answers for the chunk.
    """

    task_ids: tuple[bytes, ...]
    completed: tuple[bool, ...]
    answer: bytes

    def __post_init__(self) -> None:
        if any(len(task_id) != ID_BYTES for task_id in self.task_ids):
            raise ValueError(f"a task id has {ID_BYTES} bytes")
        if len(self.completed) != len(self.task_ids):
            raise ValueError("there must be a task id for every task, completed or not")
        if len(self.task_ids) > MAX_TASKS:
            raise ValueError(f"a segment has at most {MAX_TASKS} tasks")


@dataclass(frozen=True)
class Head:
    """A segment without its answer.

    Attributes:
        size: of the head, in bytes.
        task_ids: the ids, one after the other.
        completed: the positions of the tasks that completed.
        answer_size: in bytes.
        answer_digest: the answer's SHA-256.
    """

    size: int
    task_ids: bytes
    completed: Sequence[int]
    answer_size: int
    answer_digest: bytes

    def task_id(self, position: int) -> bytes:
        """Return the id of the task at a position."""
        return self.task_ids[position * ID_BYTES : (position + 1) * ID_BYTES]


def split_ids(task_ids: bytes) -> tuple[bytes, ...]:
    """Return ids that are given one after the other; the last is short if their size is wrong."""
    return tuple(task_ids[at : at + ID_BYTES] for at in range(0, len(task_ids), ID_BYTES))


def encode_head(segment: Segment) -> bytes:
    """Return a segment's head; followed by the answer it is the whole segment."""
    answer = segment.answer
    fixed = _FIXED.pack(MAGIC, len(segment.task_ids), len(answer), hashlib.sha256(answer).digest())
    completed = np.packbits(np.array(segment.completed, dtype=np.bool_), bitorder="little")
    return b"".join((fixed, *segment.task_ids, completed.tobytes()))


def head_digest(head: bytes) -> bytes:
    """Return the SHA-256 of a head, 32 bytes, which is the name of its segment."""
    return hashlib.sha256(head).digest()


def head_size(start: bytes) -> int:
    """Return how many bytes the head has of which this is the start.

    Raises:
        DamagedSegmentError: if it isn't the start of a segment.
    """
    if len(start) < _FIXED.size:
        raise DamagedSegmentError("it is cut short")
    magic, tasks, _, _ = _FIXED.unpack_from(start)
    if magic != MAGIC:
        raise DamagedSegmentError("it isn't a segment")
    if tasks > MAX_TASKS:
        raise DamagedSegmentError(f"it says that it has {tasks} tasks, over {MAX_TASKS}")
    return _FIXED.size + int(tasks) * ID_BYTES + (int(tasks) + 7) // 8


def decode_head(digest: bytes, data: bytes) -> Head:
    """Return the head at the beginning of `data`.

    Raises:
        DamagedSegmentError: if it isn't the one whose SHA-256 is `digest`.
    """
    size = head_size(data)
    if len(data) < size:
        raise DamagedSegmentError("it is cut short")
    if hashlib.sha256(memoryview(data)[:size]).digest() != digest:
        raise DamagedSegmentError("its head isn't what its name says")
    _, tasks, answer_size, answer_digest = _FIXED.unpack_from(data)
    bits_at = _FIXED.size + tasks * ID_BYTES
    bits = np.frombuffer(data, np.uint8, size - bits_at, bits_at)
    completed = np.flatnonzero(np.unpackbits(bits, count=tasks, bitorder="little")).tolist()
    return Head(size, data[_FIXED.size : bits_at], completed, answer_size, answer_digest)


def decode(digest: bytes, data: bytes) -> Segment:
    """Return the segment that `data` is.

    Raises:
        DamagedSegmentError: if it isn't the one whose head has the SHA-256 `digest`.
    """
    head = decode_head(digest, data)
    answer = data[head.size :]
    if len(answer) != head.answer_size:
        raise DamagedSegmentError(
            f"its answer has {len(answer)} bytes instead of {head.answer_size}"
        )
    if hashlib.sha256(answer).digest() != head.answer_digest:
        raise DamagedSegmentError("its answer isn't what its head says")
    ids = split_ids(head.task_ids)
    completed = set(head.completed)
    return Segment(ids, tuple(position in completed for position in range(len(ids))), answer)
