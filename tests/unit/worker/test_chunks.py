from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import BundleRef, FailureReason, PublicKey, SimFailure
from modelops.contracts.execution import EnvironmentMode, Isolation
from modelops.worker.chunks import Chunk, Done, Function, Trouble, decode_reply, encode_reply
from modelops.worker.frames import Frame, FrameError, decode, encode
from modelops.worker.run_watch import RunLimits

text = st.text(st.characters(codec="utf-8"), max_size=10)
seconds = st.floats(0, 1e6)
failures = st.builds(SimFailure, st.sampled_from(FailureReason), text, text)
keys = st.binary(min_size=32, max_size=32).map(
    lambda key: PublicKey(bytes.fromhex("302a300506032b6570032100") + key)
)
functions = st.builds(
    Function,
    st.just(BundleRef("team/sir", f"sha256:{'0' * 64}", "ghcr.io")),
    st.sampled_from(["model:simulate", "a.b:c.d"]),
    st.lists(text, max_size=2).map(tuple),
    st.sampled_from(Isolation),
    st.sampled_from(EnvironmentMode),
    st.builds(
        RunLimits, st.none() | seconds, st.none() | st.integers(0), st.none() | st.integers(0)
    ),
    st.none() | keys,
    text,
    text,
    st.lists(st.tuples(text, st.just("targets:cases")), max_size=2).map(tuple),
)
chunks = st.builds(
    Chunk,
    functions,
    st.binary(max_size=30),
    st.integers(0, 3).map(lambda count: bytes(32 * count)),
    seconds,
    text,
    st.booleans(),
)
replies = st.builds(
    Done,
    st.binary(max_size=30),
    seconds,
    seconds,
    st.integers(-1, 2**31),
    st.none() | failures,
    st.booleans(),
    text,
    text,
    st.integers(0, 2**31),
    st.lists(st.integers(0, 2**31), max_size=2).map(tuple),
) | st.builds(Trouble, text, text, st.booleans())


@given(chunks)
def test_a_chunk_comes_back_as_it_was(chunk: Chunk) -> None:
    assert Chunk.decode(chunk.encode()) == chunk


@given(replies)
def test_a_reply_comes_back_as_it_was(reply: Done | Trouble) -> None:
    assert decode_reply(encode_reply(reply)) == reply


@pytest.mark.parametrize("key", [None, "", "-----BEGIN PUBLIC KEY-----", 3])
@given(chunks)
def test_a_chunk_whose_demand_for_a_signature_was_lost_is_refused(key: Any, chunk: Chunk) -> None:
    frame = decode(chunk.encode())
    header = dict(frame.header)
    del header["public_key"]
    if key is not None:
        header["public_key"] = key
    with pytest.raises(FrameError):
        Chunk.decode(encode(Frame(header, frame.payloads)))


@pytest.mark.parametrize("frame", [Frame({}), Frame({"kind": "other"}), Frame({"kind": "done"})])
def test_frames_that_say_something_else_are_refused(frame: Frame) -> None:
    with pytest.raises(FrameError):
        Chunk.decode(encode(frame))
    with pytest.raises(FrameError):
        decode_reply(encode(frame))


@given(chunks)
def test_digests_that_are_cut_off_are_refused(chunk: Chunk) -> None:
    frame = decode(chunk.encode())
    with pytest.raises(FrameError):
        Chunk.decode(encode(Frame(frame.header, (chunk.calls, chunk.digests + b"x"))))
