"""From the text of a YAML file to plain data and the place of every value in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from modelops.spec import yaml_text
from modelops.spec.problems import Finding, InvalidSpecError, SpecPath, SpecProblem
from modelops.spec.source import Entry, Source
from modelops.spec.syntax import syntax_problem

_MAX_FOUND = 60
_WITHOUT_TAG = "Leave out the tag, which is the word that begins with an exclamation mark."


@dataclass(frozen=True)
class Tree:
    """A file's data (dicts, lists, finite scalars, None), its places, and what is wrong already."""

    data: Any
    source: Source
    problems: tuple[SpecProblem, ...]


def read_tree(text: str, file: str) -> Tree:
    """Read YAML. Duplicate keys, keys that aren't text and odd scalars become problems.

    Raises:
        InvalidSpecError: if it can't be read at all: a syntax error, an empty file, more than
            20,000 values before or after aliases are expanded, or a value that contains itself.
    """
    try:
        loader = yaml_text.Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise InvalidSpecError([syntax_problem(error, file)]) from error
    except yaml.reader.ReaderError as error:
        line, column = place_of(text, error.position)
        message = f"the character U+{ord(text[error.position]):04X} isn't allowed in YAML"
        advice = 'Remove it; in double quotes it can be written as an escape, as in "\\x07".'
        raise InvalidSpecError(
            [SpecProblem(file, line, column, "", "", message, advice)]
        ) from error
    if node is None:
        message = "it is empty"
        suggestion = "`mops init DIR` makes one to start from."
        raise InvalidSpecError([SpecProblem(file, 1, 1, "", "", message, suggestion)])
    builder = _Builder(text, file)
    data = builder.build(node, (), node)
    return Tree(data, Source(file, builder.entries), tuple(dict.fromkeys(builder.problems)))


def place_of(text: str, index: int) -> tuple[int, int]:
    """Return the line and the column, from 1, of a character of the text."""
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


class _Builder:
    """Builds the data of one file; holds what is gathered on the way."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.entries: dict[SpecPath, Entry] = {}
        self.problems: list[SpecProblem] = []
        self.count = 0
        self.open: list[yaml.Node] = []
        # A long text that many aliases repeat is looked at once.
        self.scalars: dict[yaml.Node, bool | int | float | str | None] = {}

    def build(self, node: yaml.Node, path: SpecPath, key: yaml.Node) -> Any:
        self.enter(node, path)
        self.entries[path] = self.entry(node, key)
        if isinstance(node, yaml.ScalarNode):
            if node not in self.scalars:
                self.scalars[node] = self.scalar(node, path)
            return self.scalars[node]
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == yaml_text.MAPPING:
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode) and node.tag == yaml_text.LIST:
                return [
                    self.build(item, (*path, index), item) for index, item in enumerate(node.value)
                ]
        finally:
            self.open.pop()
        self.note(path, _unused_tag(node.tag), suggestion=_WITHOUT_TAG)
        return None

    def mapping(self, node: yaml.MappingNode, path: SpecPath) -> dict[str, Any]:
        own, merged = self.pairs(node, path)
        names = {name for name, _, _ in own}
        result: dict[str, Any] = {}
        for name, key, value in [*(item for item in merged if item[0] not in names), *own]:
            if name not in result:
                result[name] = self.build(value, (*path, name), key)
        return result

    def pairs(self, node: yaml.MappingNode, path: SpecPath) -> "tuple[list[_Pair], list[_Pair]]":
        """Return what the mapping says itself and what it merges (`<<`) from others."""
        own: dict[str, _Pair] = {}
        merged: dict[str, _Pair] = {}
        for key, value in node.value:
            if key.tag == yaml_text.MERGE:
                for item in self.merged(value, path):
                    merged.setdefault(item[0], item)
            elif not isinstance(key, yaml.ScalarNode) or key.tag != yaml_text.TEXT:
                self.note_key(path, key)
            elif key.value in own:
                first = own[key.value][1].start_mark.line + 1
                message = f"this key is there twice; the first is on line {first}"
                self.note((*path, key.value), message, key)
            else:
                self.check_text(key, path)
                own[key.value] = (key.value, key, value)
        return list(own.values()), list(merged.values())

    def merged(self, node: yaml.Node, path: SpecPath) -> "Iterator[_Pair]":
        self.enter(node, path)
        self.open.append(node)
        if isinstance(node, yaml.MappingNode):
            # Its pairs count too: merging is copying.
            self.count += len(node.value)
            own, further = self.pairs(node, path)
            yield from own
            yield from further
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self.merged(item, path)
        else:
            self.note(path, "<< takes a mapping or a list of mappings", node)
        self.open.pop()

    def scalar(self, node: yaml.ScalarNode, path: SpecPath) -> bool | int | float | str | None:
        try:
            match node.tag:
                case yaml_text.TEXT:
                    self.check_text(node, path)
                    return str(node.value)
                case yaml_text.NULL:
                    return None
                case yaml_text.BOOL:
                    return yaml_text.read_bool(node.value)
                case yaml_text.INT:
                    return yaml_text.read_int(node.value)
                case yaml_text.FLOAT:
                    return yaml_text.read_float(node.value)
                case other:
                    self.note(path, _unused_tag(other), suggestion=_WITHOUT_TAG)
        except ValueError as error:
            suggestion = ""
            if yaml_text.OCTAL.fullmatch(node.value):
                suggestion = f'Leave the 0 out, or, if it is text, write "{node.value}".'
            self.note(path, str(error), suggestion=suggestion)
        return None

    def check_text(self, node: yaml.ScalarNode, path: SpecPath) -> None:
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            self.note(path, "half of a surrogate pair isn't a character", node)

    def note(
        self, path: SpecPath, message: str, at: yaml.Node | None = None, suggestion: str = ""
    ) -> None:
        places = self.entries if at is None else {path: self.entry(at, at)}
        finding = Finding(path, message, suggestion)
        self.problems.append(Source(self.file, places).problem(finding))

    def note_key(self, path: SpecPath, key: yaml.Node) -> None:
        suggestion = ""
        if isinstance(key, yaml.ScalarNode):
            suggestion = f'If it is meant as a name, write "{key.value}".'
        self.note(path, "keys must be text", key, suggestion)

    def give_up(
        self, path: SpecPath, node: yaml.Node, message: str, suggestion: str = ""
    ) -> NoReturn:
        self.note(path, message, node, suggestion)
        raise InvalidSpecError(self.problems[-1:])

    def enter(self, node: yaml.Node, path: SpecPath) -> None:
        self.count += 1
        if self.count > yaml_text.MAX_VALUES:
            message = f"aliases make it more than {yaml_text.MAX_VALUES:,} values"
            self.give_up(path, node, message)
        if any(node is outer for outer in self.open):
            message = "a value contains itself"
            self.give_up(path, node, message, "Take the alias (*…) out.")

    def entry(self, node: yaml.Node, key: yaml.Node) -> Entry:
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return Entry(
            line=node.start_mark.line + 1,
            column=node.start_mark.column + 1,
            key_line=key.start_mark.line + 1,
            key_column=key.start_mark.column + 1,
            found=self.found(node),
            plain=node.value if plain else None,
        )

    def found(self, node: yaml.Node) -> str:
        """Return what is written: literally if it is short, else what kind of thing it is."""
        start = node.start_mark.index
        written = self.text[start : min(node.end_mark.index, start + _MAX_FOUND + 1)].rstrip()
        short = len(written) <= _MAX_FOUND
        if not written:
            return "nothing"
        if "\n" not in written and (short or isinstance(node, yaml.ScalarNode)):
            return written if short else f"{written[: _MAX_FOUND - 1]}…"
        match node:
            case yaml.MappingNode():
                return "a mapping"
            case yaml.SequenceNode():
                return "a list"
        return "a text of several lines"


_Pair = tuple[str, yaml.ScalarNode, yaml.Node]


def _unused_tag(tag: str) -> str:
    return f"the tag {tag.replace('tag:yaml.org,2002:', '!!')} isn't used in specs"
