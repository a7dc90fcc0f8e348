"""Printing: data to stdout, messages to stderr."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from modelops.cli.options import Options

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


class QuietExit(SystemExit):
    """Ends a command without another word."""


def print_data(text: str) -> None:
    """Write a line of data to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def begin_data(text: str) -> None:
    """Write the beginning of a line of data to stdout; `print_data` writes the rest."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_json(value: Any) -> None:
    """Write data to stdout as JSON; the same value gives the same text."""
    print_data(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str))


def say(options: Options, message: str) -> None:
    """Write a message for people to stderr, unless they asked for quiet."""
    if not options.quiet:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows in aligned columns to stdout, the head in upper case as kubectl does."""
    table = [[column.upper() for column in columns], *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print_data("   ".join(cells).rstrip())


def uses_color() -> bool:
    """Return whether stdout is a terminal whose user hasn't asked for no colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def count_words(changes: Mapping[str, int]) -> str:
    """Return the engine's counts in words: `2 created, 5 unchanged`."""
    words = {"same": "unchanged", "create": "created", "update": "updated", "delete": "deleted"}
    parts = [
        f"{count} {words.get(kind, kind)}"
        for kind, count in changes.items()
        if count and kind != "discard"
    ]
    return ", ".join(parts) or "nothing to do"


def span_words(seconds: float) -> str:
    """Return a span of time in words: `45s`, `3m05s`, `2h07m`."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{left:02}s" if minutes else f"{left}s"
