"""Reading the logs of processes: whole, the end of them, and as they grow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.providers.local import logs
from modelops.providers.local.layout import rotated

LINES = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=9))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "part.log"


def until_quiet(lines: Iterator[str]) -> list[str]:
    """Return what comes before the first empty string."""
    return list(iter(lines.__next__, ""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(older=LINES, newer=LINES, tail=st.integers(0, 30), ended=st.booleans())
def test_the_tail_is_the_end_of_the_whole(
    log: Path, older: list[str], newer: list[str], tail: int, ended: bool
) -> None:
    rotated(log).write_bytes("".join(f"{line}\n" for line in older).encode())
    text = "".join(f"{line}\n" for line in newer)
    log.write_bytes((text if ended else text.removesuffix("\n")).encode())
    written = [*older, *newer]
    if newer and not newer[-1] and not ended:
        # Nothing is behind the last newline.
        written.pop()
    whole = [f"{line}\n" for line in written]
    assert list(logs.read(log)) == whole
    assert list(logs.read(log, tail)) == (whole[-tail:] if tail else [])


def test_the_end_of_a_large_log_is_found_across_blocks(log: Path) -> None:
    log.write_text("".join(f"{number:0200}\n" for number in range(2_000)))
    assert [int(line) for line in logs.read(log, 1_500)] == list(range(500, 2_000))


def test_what_isnt_text_is_read_all_the_same(log: Path) -> None:
    log.write_bytes(b"\xff\xfe\x00\nlast")
    assert list(logs.read(log)) == ["\ufffd\ufffd\x00\n", "last\n"]


def test_a_log_that_isnt_there_is_empty(log: Path) -> None:
    assert list(logs.read(log)) == []
    assert list(logs.read(log, 5)) == []


def test_following_gives_whole_lines_as_they_come(log: Path) -> None:
    log.write_text("1\n2\n3")
    with closing(logs.follow(log, 2)) as lines:
        assert until_quiet(lines) == ["2\n"]
        with log.open("a") as file:
            file.write("3\n4\n")
        assert until_quiet(lines) == ["33\n", "4\n"]
        assert list(islice(lines, 2)) == ["", ""]


def test_a_log_that_begins_anew_is_gone_on_with(log: Path) -> None:
    log.write_text("first\n")
    with closing(logs.follow(log)) as lines:
        assert until_quiet(lines) == ["first\n"]
        with log.open("a") as file:
            log.replace(rotated(log))
            log.write_text("third\n")
            file.write("second, before it was put aside\n")
        assert until_quiet(lines) == ["second, before it was put aside\n", "third\n"]
        log.write_text("x\n")
        assert until_quiet(lines) == ["x\n"]
        log.unlink()
        assert next(lines) == ""
        log.write_text("y\n")
        assert until_quiet(lines) == ["y\n"]


def test_what_was_put_aside_comes_first_when_following(log: Path) -> None:
    rotated(log).write_text("1\n2\n")
    with closing(logs.follow(log, 1)) as lines:
        assert until_quiet(lines) == ["2\n"]
        log.write_text("3\n")
        assert until_quiet(lines) == ["3\n"]
    log.write_text("3\n4\n")
    with closing(logs.follow(log, 3)) as lines:
        assert until_quiet(lines) == ["2\n", "3\n", "4\n"]
