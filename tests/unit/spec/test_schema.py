from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from modelops.spec import InvalidSpecError, json_schema, load_text, to_yaml

VALIDATOR = Draft202012Validator(json_schema())
LEAST = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: sir}
spec:
  provider: {name: local}
  workerGroups: {w: %(group)s}
  algorithms:
    fit:
      type: optuna
      parameters: %(parameters)s
      entrypoint: {bundle: ., targets: [a], space: {x: %(space)s}}
"""


def errors_of(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema_of_its_dialect() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "ModelOps RuntimeSpec"


def test_every_key_has_a_description() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    keys = [(part["title"], key, of) for part in parts for key, of in part["properties"].items()]
    assert len(keys) > 50
    assert all(part["description"] for part in parts)
    # A key whose description is that of the part it refers to leaves it to the part.
    assert [
        (title, key) for title, key, of in keys if not of.keys() & {"description", "$ref"}
    ] == []


def test_valid_files_are_valid(small: str, fullest: str) -> None:
    for text in (small, fullest, to_yaml(load_text(fullest))):
        assert errors_of(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("modelops/v1", "modelops/v2"),
        ("metadata: {name: sir}\n", ""),
        ("{name: sir}", "{name: Sir}"),
        ("{name: sir}", "{name: no}"),
        ("type: optuna", "typ: optuna"),
        ("seed: 1", "seed: -1"),
        ("seed: 1", "order: completed"),
        ("    calibration:", "    Calibration:"),
        ("[prevalence]", "prevalence"),
        ("{low: 0.5, high: 4}", "{low: 0.5, high: 4, typ: int}"),
        ("{low: 0.5, high: 4}", "{low: 0.5, choices: [a]}"),
        ("{low: 0.5, high: 4}", "{choices: []}"),
        ("{low: 0.5, high: 4}", "0.5"),
    ],
)
def test_invalid_files_are_invalid(small: str, old: str, new: str) -> None:
    assert old in small
    assert errors_of(small.replace(old, new))
    with pytest.raises(InvalidSpecError):
        load_text(small.replace(old, new))


def mappings(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    values: st.SearchStrategy[Any] = st.sampled_from(
        [0, 1, 2, 0.5, -1, True, None, "int", "x", "4", "2Gi", [], [1], {}]
    )
    return st.dictionaries(st.sampled_from(keys), values, max_size=4)


@settings(deadline=None)
@given(
    mappings(["min", "max", "threads", "spot", "resources", "gpu", "kind"]),
    mappings(["n_trials", "n_parallel", "seed", "order", "sampler"]),
    mappings(["low", "high", "log", "type", "choices", "value"]),
)
def test_editors_never_complain_of_what_loads(
    group: dict[str, Any], parameters: dict[str, Any], space: dict[str, Any]
) -> None:
    written = {
        key: yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
        for key, value in (("group", group), ("parameters", parameters), ("space", space))
    }
    text = LEAST % written
    try:
        load_text(text)
    except InvalidSpecError:
        return
    assert errors_of(text) == []
