import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.result_store.segments import (
    DamagedSegmentError,
    Segment,
    decode,
    decode_head,
    encode_head,
    head_digest,
    head_size,
)

tasks = st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.booleans()), max_size=20)


@st.composite
def segments(draw):
    chosen = draw(tasks)
    answer = draw(st.binary(max_size=100))
    return Segment(tuple(task for task, _ in chosen), tuple(done for _, done in chosen), answer)


def encoded(segment):
    head = encode_head(segment)
    return head_digest(head), head + segment.answer


@given(segments())
def test_a_segment_comes_back_as_it_was(segment):
    assert decode(*encoded(segment)) == segment


@given(segments())
def test_the_head_says_who_completed_without_the_answer(segment):
    head = encode_head(segment)
    assert head_size(head[:64]) == len(head)
    read = decode_head(head_digest(head), head)
    done = [position for position, is_done in enumerate(segment.completed) if is_done]
    assert list(read.completed) == done
    assert [read.task_id(at) for at in range(len(segment.task_ids))] == list(segment.task_ids)
    assert (read.size, read.answer_size) == (len(head), len(segment.answer))


@given(segments(), st.data())
def test_no_byte_can_be_altered(segment, data):
    digest, whole = encoded(segment)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
    with pytest.raises(DamagedSegmentError):
        decode(digest, whole[:at] + flipped + whole[at + 1 :])


@given(segments(), st.data())
def test_nothing_can_be_cut_off_or_added(segment, data):
    digest, whole = encoded(segment)
    with pytest.raises(DamagedSegmentError):
        decode(digest, whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DamagedSegmentError):
        decode(digest, whole + data.draw(st.binary(min_size=1, max_size=9)))


@given(st.binary(max_size=300))
def test_any_bytes_are_damaged(data):
    with pytest.raises(DamagedSegmentError):
        decode(bytes(32), data)


def test_a_head_that_says_it_is_huge_is_damaged():
    head = b"MOPSSEG1" + (2**32 - 1).to_bytes(4, "big") + bytes(40)
    with pytest.raises(DamagedSegmentError, match="4294967295 tasks"):
        head_size(head)


def test_the_bytes_are_those_that_the_documentation_says():
    ids = tuple(bytes([number]) * 32 for number in range(9))
    completed = (True, False, True, False, False, False, False, False, True)
    head = encode_head(Segment(ids, completed, b"answer"))
    assert head == (
        b"MOPSSEG1"
        + bytes.fromhex("00000009 0000000000000006")
        + hashlib.sha256(b"answer").digest()
        + b"".join(ids)
        + bytes([0b00000101, 0b00000001])
    )


@pytest.mark.parametrize(
    ("task_ids", "completed", "words"),
    [
        ((bytes(31),), (True,), "32 bytes"),
        ((bytes(32),), (), "every task"),
        ((bytes(32),), (True, True), "every task"),
    ],
)
def test_what_does_not_fit_together_is_no_segment(task_ids, completed, words):
    with pytest.raises(ValueError, match=words):
        Segment(task_ids, completed, b"")
