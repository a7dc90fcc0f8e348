import os
from collections.abc import Iterator

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
