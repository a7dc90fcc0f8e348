"""The page on the format says all of it, and what it shows is valid."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelops.spec import json_schema, load_text
from modelops.spec.models.providers import KNOWN

PAGE = (Path(__file__).parents[3] / "docs" / "runtime-spec.md").read_text()
EXAMPLES = re.findall(r"(?s)```yaml\n(apiVersion.*?)```", PAGE)
# The words before the last `.` of a key in backquotes are the parts around it.
SAID = set(re.findall(r"`([A-Za-z_.]+)`", PAGE))


def keys() -> Iterator[tuple[str, str]]:
    """Yield every part of the format and each of its keys."""
    schema = json_schema()
    for name, part in [("RuntimeSpec", schema), *schema["$defs"].items()]:
        for key in part.get("properties", {}):
            yield name, key


@pytest.mark.parametrize(("part", "key"), list(keys()))
def test_every_key_is_explained(part: str, key: str) -> None:
    assert any(said == key or said.endswith(f".{key}") or f"{key}." in said for said in SAID), part


def test_every_word_that_is_allowed_is_named() -> None:
    def words(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (word for word in node.get("enum", []) if isinstance(word, str))
            yield from (word for key, item in node.items() if key != "enum" for word in words(item))
        elif isinstance(node, list):
            yield from (word for item in node for word in words(item))

    assert {word for word in words(json_schema()) if f"`{word}`" not in PAGE} == set()
    assert set(KNOWN) <= SAID


def test_every_default_is_stated() -> None:
    rows = dict(re.findall(r"(?m)^\| `([^`]+)` \|.*\| ([^|]+) \|$", PAGE))
    schema = json_schema()
    for name, prefix in (
        ("WorkerGroup", ""),
        ("Parameters", "parameters."),
        ("Execution", "execution."),
        ("RunLimits", "limits."),
        ("Gpu", "gpu."),
    ):
        for key, described in schema["$defs"][name]["properties"].items():
            default = described.get("default")
            if default is not None and key != "max":
                assert str(default).lower() in rows[f"{prefix}{key}"].lower(), key


def test_its_examples_are_valid() -> None:
    assert len(EXAMPLES) >= 2
    for example in [item for item in EXAMPLES if "spec:" in item]:
        load_text(example)


def test_it_shows_the_fullest_form(fullest: str) -> None:
    assert fullest in EXAMPLES
