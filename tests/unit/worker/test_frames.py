import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.worker import frames
from modelops.worker.frames import Frame, FrameError, decode, encode, read_frame

text = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(text, scalars, max_size=3)
headers = st.dictionaries(text, values, max_size=3)
all_frames = st.builds(Frame, headers, st.lists(st.binary(max_size=50), max_size=3).map(tuple))


def _raw(text: bytes, *payloads: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text + b"".join(payloads)


@given(all_frames)
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(all_frames, st.data())
def test_every_truncation_is_an_error(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    cut = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(FrameError):
        decode(whole[:cut])


@given(all_frames, st.binary(min_size=1, max_size=10))
def test_bytes_beyond_the_end_are_an_error(frame: Frame, rest: bytes) -> None:
    with pytest.raises(FrameError, match="follow the end"):
        decode(encode(frame) + rest)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_frame_error(data: bytes) -> None:
    try:
        frame = decode(data)
    except FrameError:
        return
    assert decode(encode(frame)) == frame


@given(st.lists(all_frames, max_size=3), st.integers(1, 7))
def test_frames_are_read_one_by_one_however_few_bytes_come(sent: list[Frame], step: int) -> None:
    stream = b"".join(map(encode, sent))
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        part = stream[position : position + min(size, step)]
        position += len(part)
        return part

    received = list(iter(lambda: read_frame(read), None))

    assert received == sent


@given(headers)
def test_equal_headers_have_equal_bytes_in_whatever_order(header: dict[str, object]) -> None:
    turned = dict(reversed(header.items()))

    assert encode(Frame(header)) == encode(Frame(turned))


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b"not json",
        b"\xff",
        b'{"header":{},"payloads":[],"more":1}',
        b'{"header":[],"payloads":[]}',
        b'{"header":{},"payloads":[-1]}',
        b'{"header":{},"payloads":[true]}',
        b'{"header":{},"payloads":[1.0]}',
        b'{"header":{},"payloads":3}',
        b'{"header":{"a":NaN},"payloads":[]}',
        b'{"header":{"a":-Infinity},"payloads":[]}',
        b'{"header":{"a":1e999},"payloads":[]}',
        b'{"header":' + b"[" * 100_000 + b"}",
    ],
)
def test_a_header_of_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(FrameError):
        decode(_raw(text))


def test_nan_cannot_be_sent() -> None:
    with pytest.raises(FrameError, match="JSON"):
        encode(Frame({"loss": float("nan")}))


def test_an_oversized_header_is_refused_before_it_is_read() -> None:
    asked: list[int] = []

    def read(size: int) -> bytes:
        asked.append(size)
        return struct.pack(">I", frames.MAX_HEADER_BYTES + 1)

    with pytest.raises(FrameError, match="header takes"):
        read_frame(read)
    assert asked == [4]


def test_limits_on_payloads_hold_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Frame({}, (b"12345", b"67890")))

    monkeypatch.setattr(frames, "MAX_PAYLOAD_BYTES", 9)
    with pytest.raises(FrameError, match="payloads take 10 bytes"):
        decode(data)
    with pytest.raises(FrameError, match="payloads take 10 bytes"):
        encode(Frame({}, (b"12345", b"67890")))
    monkeypatch.setattr(frames, "MAX_PAYLOADS", 1)
    with pytest.raises(FrameError, match="2 payloads"):
        decode(data)
