"""Where in a file each part of a spec was written, so that an error can point at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelops.spec.problems import Finding, SpecPath, SpecProblem, show_path


@dataclass(frozen=True)
class Entry:
    """One value of the file: where its key and itself begin (from 1), and what is written there.

    Attributes:
        line, column: the value's place.
        key_line, key_column: its key's place; the value's own for an item of a list.
        found: what is written, short enough for a message.
        plain: the text of a scalar without quotes, else None.
    """

    line: int
    column: int
    key_line: int
    key_column: int
    found: str
    plain: str | None = None


@dataclass(frozen=True)
class Source:
    """The file that a spec came from. Any two are equal: a spec's meaning isn't where it stands."""

    file: str = field(default="", compare=False)
    entries: Mapping[SpecPath, Entry] = field(default_factory=dict, compare=False, repr=False)

    def problem(self, finding: Finding) -> SpecProblem:
        """Return a finding with its place in the file.

        What isn't in the file (it is missing, or is a default) is shown at the key of the nearest
        thing around it that is.
        """
        path = finding.path
        around = path[:-1] if finding.missing else path
        while around and around not in self.entries:
            around = around[:-1]
        entry = self.entries.get(around)
        at_value = around == path and not finding.at_key
        if entry is None:
            line, column = (1, 1) if self.file else (0, 0)
        elif at_value:
            line, column = entry.line, entry.column
        else:
            line, column = entry.key_line, entry.key_column
        return SpecProblem(
            file=self.file,
            line=line,
            column=column,
            path=show_path(path),
            found=entry.found if entry and at_value else "",
            message=finding.message,
            suggestion=finding.suggestion,
        )


@dataclass(frozen=True)
class Reading:
    """What the models are told besides the data: its places, and each provider's own model."""

    source: Source
    providers: Mapping[str, Any]
