import io
import sys

import pytest
from rich.console import Console

from modelops.bundles.progress import UNWATCHED
from modelops.cli.options import Options
from modelops.cli.transfer_bar import LEAST_BYTES, shown, transfer_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def text_of(*sizes):
    console = Console(file=Terminal(), force_terminal=True, width=100)
    with shown("pushing sir", console) as bar:
        for size in sizes:
            bar.expect(size)
            bar.moved(size // 2)
    return console.file.getvalue()


def test_a_transfer_is_shown():
    text = text_of(LEAST_BYTES, LEAST_BYTES)
    assert "pushing sir" in text
    assert "1.0/2.1 MB" in text


def test_a_small_transfer_is_not():
    assert "pushing sir" not in text_of(LEAST_BYTES // 2)


@pytest.mark.parametrize(
    ("options", "is_terminal", "is_shown"),
    [
        (Options(), True, True),
        (Options(), False, False),
        (Options(quiet=True), True, False),
        (Options(json=True), True, False),
    ],
)
def test_only_a_terminal_that_nobody_wants_quiet_shows_it(
    monkeypatch, options, is_terminal, is_shown
):
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with transfer_bar(options, "pushing sir") as bar:
        bar.expect(LEAST_BYTES)
        bar.moved(LEAST_BYTES)
    assert (bar is not UNWATCHED) == is_shown
    assert ("pushing sir" in stream.getvalue()) == is_shown
