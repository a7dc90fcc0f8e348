"""Log lines on a terminal: nothing in them does anything to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.cli.logs import harmless


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain\twords é ✓\n", "plain\twords é ✓\n"),
        ("\x1b[31mred\x1b[0m\n", "^[[31mred^[[0m\n"),
        ("a\x07b\x00c\x7f\n", "a^Gb^@c^?\n"),
        ("\x9b2J\u202eabc\n", "\\u009b2J\\u202eabc\n"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("100%\r\n", "100%\n"),
        ("no newline", "no newline\n"),
    ],
)
def test_what_would_move_the_cursor_is_shown_as_text(line: str, shown: str) -> None:
    assert harmless(line) == shown


@given(st.text())
def test_no_control_character_is_left(line: str) -> None:
    shown = harmless(line)
    assert shown.endswith("\n")
    assert all(char == "\t" or (char.isprintable() or ord(char) > 0x9F) for char in shown[:-1])
