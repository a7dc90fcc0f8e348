"""What is wrong with a spec: one problem, all of them as one error, and near misses."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelops.core.errors import SpecError

_MAX_SHOWN = 100
_MAX_MESSAGE = 500
_MAX_WORD = 60
_MAX_LISTED = 30

SpecPath = tuple[str | int, ...]
"""Keys and list indices from the root of the file to a value."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a spec, before it is known where that stands in a file.

    Attributes:
        path: of the value that is wrong.
        message: what is wrong and what is allowed.
        suggestion: what was probably meant, or what to do; may be empty.
        at_key: the key is wrong, not its value.
        missing: the value isn't there.
        relies_on: other parts that it follows from; where one of them is itself wrong, nothing is
            known.
    """

    path: SpecPath
    message: str
    suggestion: str = ""
    at_key: bool = False
    missing: bool = False
    relies_on: tuple[SpecPath, ...] = ()


@dataclass(frozen=True)
class SpecProblem:
    """One thing to mend in a spec.

    Attributes:
        file: the file as it was named; empty for a spec that was made in code.
        line, column: where, from 1; 0 for a spec that was made in code.
        path: the place in the spec, `spec.workerGroups.default-cpu.max`; empty for the whole file.
        found: what is written there; empty where nothing is.
        message: what is wrong and what is allowed.
        suggestion: what was probably meant, or what to do; may be empty.
    """

    file: str
    line: int
    column: int
    path: str
    found: str
    message: str
    suggestion: str = ""

    def __post_init__(self) -> None:
        for name in ("found", "message", "suggestion"):
            object.__setattr__(self, name, printable(getattr(self, name), _MAX_MESSAGE))

    def __str__(self) -> str:
        """Return the problem as a block of two or three lines."""
        place = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        lines = [f"{place}{self.path or 'the file'}"]
        lines.append(f"  found {self.found}: {self.message}" if self.found else f"  {self.message}")
        if self.suggestion:
            lines.append(f"  {self.suggestion}")
        return "\n".join(lines)


class InvalidSpecError(SpecError):
    """A spec has problems. Its text is the list of them, a block each.

    Attributes:
        problems: all that were found, in the order of the file.
    """

    problems: tuple[SpecProblem, ...]

    def __init__(self, problems: Iterable[SpecProblem]) -> None:
        self.problems = tuple(
            sorted(problems, key=lambda item: (item.line, item.column, item.path, item.message))
        )
        shown = [str(problem) for problem in self.problems[:_MAX_SHOWN]]
        if len(self.problems) > _MAX_SHOWN:
            shown.append(f"… and {len(self.problems) - _MAX_SHOWN:,} more")
        super().__init__("\n".join(shown))


def show_path(path: SpecPath) -> str:
    """Return a path as messages show it: `spec.workerGroups.cpu.max`, `targets[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = printable(part)
            text += f".{key}" if text else key
    return text


def printable(text: str, most: int = _MAX_WORD) -> str:
    """Return text that a terminal can show: without control characters; its middle cut if long."""
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[-(most // 2) :]}"
    if text.isprintable():
        return text
    return "".join(
        item if item.isprintable() else item.encode("unicode_escape").decode() for item in text
    )


def list_words(words: Iterable[str], last: str = "and") -> str:
    """Return words as prose: `a, b and c`."""
    items = list(words)
    if len(items) > _MAX_LISTED:
        items = [*items[:_MAX_LISTED], f"{len(items) - _MAX_LISTED:,} more"]
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
