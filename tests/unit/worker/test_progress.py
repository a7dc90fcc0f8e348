import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from modelops.worker.progress import Progress


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = Progress.new_file()
    yield descriptor
    os.close(descriptor)


def test_one_side_reads_where_the_other_is(descriptor: int) -> None:
    ours, theirs = Progress(descriptor), Progress(descriptor)
    theirs.clear()
    assert ours.read().position < 0

    theirs.at(3, 1234.5, kills=2)
    assert ours.read() == (3, 1234.5, 2)

    ours.clear(kills=3)
    assert theirs.read() == (-1, 0.0, 3)
    ours.close()
    theirs.close()


def test_where_a_child_was_that_died_while_it_told_is_known(descriptor: int) -> None:
    ours = Progress(descriptor)
    ours.at(3, 1234.5)
    # The count is the first of the numbers, and odd while the others change.
    os.pwrite(descriptor, b"\x07", 0)

    assert ours.read().position == 3
    ours.close()


class Stopped:
    """The numbers of a child that gets no further than so many of them."""

    def __init__(self, numbers: Any, writes: int) -> None:
        self._numbers = numbers
        self._left = writes

    def __getitem__(self, index: int) -> int:
        return self._numbers[index]

    def __setitem__(self, index: int, value: int) -> None:
        if not self._left:
            raise InterruptedError
        self._left -= 1
        self._numbers[index] = value


@pytest.mark.parametrize("writes", range(6))
@pytest.mark.parametrize("before", [-1, 0])
def test_a_child_that_waits_while_it_tells_is_not_taken_for_one_that_takes_long(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, writes: int, before: int
) -> None:
    ours, theirs = Progress(descriptor), Progress(descriptor)
    ours.clear()
    if before >= 0:
        theirs.at(before, 0.0)
    with monkeypatch.context() as patched, suppress(InterruptedError):
        patched.setattr(theirs, "_numbers", Stopped(theirs._numbers, writes))
        theirs.at(before + 1, 1234.5, kills=2)

    at = ours.read()

    assert at.position in (before, before + 1)
    assert at.position == before or at == (before + 1, 1234.5, 2)
    ours.close()
    theirs.close()
