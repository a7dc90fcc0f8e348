"""What is wrong with a spec: one problem, all of them as one error, and near misses."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelops.core.errors import SpecError

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
    """

    path: SpecPath
    message: str
    suggestion: str = ""
    at_key: bool = False
    missing: bool = False


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
        super().__init__("\n".join(map(str, self.problems)))


def show_path(path: SpecPath) -> str:
    """Return a path as messages show it: `spec.workerGroups.cpu.max`, `targets[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def list_words(words: Iterable[str], last: str = "and") -> str:
    """Return words as prose: `a, b and c`."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
