"""The dialect of YAML that specs are read and written in.

YAML 1.1 as PyYAML has it, with what surprises scientists taken from YAML 1.2: `1e-3` is a number,
and dates and `1:30` are text.
"""

import re
from typing import Any, NoReturn

import yaml

NULL, BOOL, INT, FLOAT, TEXT, MERGE, LIST, MAPPING = (
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "bool", "int", "float", "str", "merge", "seq", "map")
)

OCTAL = re.compile(r"[-+]?0[0-9_]+")
"""Whole numbers that YAML 1.1 reads as octal and YAML 1.2 as decimal, and 08 and 09."""

_INT = re.compile(
    r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-9_]*|[1-9][0-9_]*)\Z",
)
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
# PyYAML writes them as they are and reads them as blanks.
_ODD_BREAKS = re.compile("[\x85\u2028\u2029]")
_KEPT = (NULL, BOOL, MERGE)
_MAX_DEPTH = 50
MAX_VALUES = 20_000
"""The most keys and values of a file, before aliases are expanded and after."""
_MAX_DIGITS = 100


class Loader(yaml.SafeLoader):
    """Composes nodes, with the tags of this dialect; no more and no deeper than a spec needs."""

    depth = 0
    count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node.

        Raises:
            yaml.composer.ComposerError: if nodes are nested deeper than the limit, or too many.
        """
        self.depth += 1
        self.count += 1
        if self.depth > _MAX_DEPTH:
            self._give_up(f"values are nested more than {_MAX_DEPTH} deep")
        if self.count > MAX_VALUES:
            self._give_up(f"there are more than {MAX_VALUES:,} keys and values")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def _give_up(self, message: str) -> NoReturn:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        raise yaml.composer.ComposerError(None, None, message, mark)


class Dumper(yaml.SafeDumper):
    """Writes plain data so that `Loader` reads the same; without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: a value that occurs twice is written twice."""
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """Represent text: in double quotes, where they are escaped, if it has odd line breaks."""
        style = '"' if _ODD_BREAKS.search(data) else None
        return self.represent_scalar(TEXT, data, style=style)


def read_bool(text: str) -> bool:
    """Return what a scalar of the tag BOOL means.

    Raises:
        ValueError: if it isn't a truth value (only an explicit tag makes that possible).
    """
    try:
        return bool(yaml.SafeLoader.bool_values[text.lower()])
    except KeyError:
        raise ValueError(f"{text!r} is neither true nor false") from None


def read_int(text: str) -> int:
    """Return what a scalar of the tag INT means.

    Raises:
        ValueError: if it isn't a whole number, or one that YAML 1.1 and 1.2 read differently.
    """
    if OCTAL.fullmatch(text):
        raise ValueError("a number with a leading 0 is octal to some readers of YAML")
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a whole number has at most {_MAX_DIGITS} digits")
    return int(text.replace("_", ""), 0)


def read_float(text: str) -> float:
    """Return what a scalar of the tag FLOAT means.

    Raises:
        ValueError: if it isn't a finite number.
    """
    value = float(re.sub(r"\.(?=inf|nan)", "", text.replace("_", "").lower()))
    if not abs(value) < float("inf"):
        raise ValueError("numbers must be finite")
    return value


def _own_resolvers() -> dict[str | None, list[tuple[str, re.Pattern[str]]]]:
    kept: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {
        first: [item for item in items if item[0] in _KEPT]
        for first, items in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+0123456789":
        kept.setdefault(first, []).append((INT, _INT))
    for first in "-+0123456789.":
        kept.setdefault(first, []).append((FLOAT, _FLOAT))
    return kept


Loader.yaml_implicit_resolvers = _own_resolvers()
Dumper.yaml_implicit_resolvers = _own_resolvers()
Dumper.add_representer(str, Dumper.text)
