import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from modelops.cli import main as cli
from modelops.spec import (
    Installed,
    InvalidSpecError,
    ProviderOptions,
    compile_spec,
    json_schema,
    load_text,
    to_yaml,
)
from unit.spec.test_broken_files import INSTALLED, KEYS_OF_PROVIDERS, TYPES, UNITS

ROOT = Path(__file__).parents[3]
VALIDATOR = Draft202012Validator(json_schema(INSTALLED))
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


def plain(text: str) -> Any:
    """Read YAML as editors do, which know nothing of our dialect; the quick way."""
    return yaml.load(text, yaml.CSafeLoader)


def errors_of(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(plain(text))]


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


def test_valid_files_are_valid(small: str, fullest: str, kubernetes: str) -> None:
    for text in (small, fullest, kubernetes):
        assert errors_of(text) == []
        assert errors_of(to_yaml(load_text(text))) == []


def test_the_examples_are_valid() -> None:
    examples = sorted(ROOT.glob("examples/**/runtime*.yaml"))
    assert examples
    for example in examples:
        assert errors_of(example.read_text()) == []


def test_the_starters_file_is_valid(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["init", str(tmp_path / "model")])
    assert caught.value.code == 0
    assert errors_of((tmp_path / "model" / "runtime.yaml").read_text()) == []


# What a schema can't know: what is installed and declared, how one value is to another, how YAML
# reads what is written, and numbers that JSON has no words for.
UNKNOWABLE = {
    "a fraction for a count",  # 300.0 is an integer in JSON Schema
    "an octal of YAML 1.1",
    "a sexagesimal of YAML 1.1",  # a number in YAML 1.1, as the reader of this test has it
    "1:30",
    "not a number",
    "infinity",
    "a number without end",
    "an unknown group",
    "an unknown provider",
    "an algorithm that isn't there",
    "1.5",  # of bytes
}


@pytest.mark.parametrize("what", {**TYPES, **UNITS, **KEYS_OF_PROVIDERS})
def test_a_broken_file_is_invalid_where_a_schema_can_know(what: str, small: str) -> None:
    text = {**TYPES, **UNITS, **KEYS_OF_PROVIDERS}[what][0](small)
    if what not in UNKNOWABLE:
        assert errors_of(text)
    elif what != "a number without end":
        assert errors_of(text) == []


def test_each_provider_has_keys_of_its_own() -> None:
    class Acme(ProviderOptions):
        """A cloud."""

        region: str

    installed = Installed({"acme": Acme, "open": INSTALLED.providers["local"]}, ["optuna"])
    validator = Draft202012Validator(json_schema(installed))
    least: dict[str, Any] = {
        "apiVersion": "modelops/v1",
        "kind": "Runtime",
        "metadata": {"name": "x"},
    }

    def is_valid(**provider: object) -> bool:
        return validator.is_valid({**least, "spec": {"provider": provider}})

    assert is_valid(name="acme", region="x")
    assert not is_valid(name="acme")
    assert not is_valid(name="acme", region="x", zone="y")
    assert is_valid(name="azure", location="x")
    assert not is_valid(name="azure", region="x")
    assert is_valid(name="nobody-knows", zone="y")


def test_editors_are_told_words_and_defaults() -> None:
    schema = json_schema(INSTALLED)
    parts = schema["$defs"]
    assert parts["Provider"]["properties"]["name"]["anyOf"][0] == {
        "enum": ["local", "kubernetes", "azure"]
    }
    assert "optuna" in parts["Algorithm"]["properties"]["type"]["anyOf"][0]["enum"]
    group = parts["WorkerGroup"]["properties"]
    assert (group["min"]["default"], group["min"]["minimum"]) == (1, 0)
    assert parts["Registry"]["properties"]["class"]["anyOf"][0]["enum"][0] == "acr"
    assert parts["Metadata"]["properties"]["env"]["default"] == "dev"


def test_mops_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["spec", "schema"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(json_schema(INSTALLED)))


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


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in plain data."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


def is_taken(data: object) -> bool:
    """Return whether the loader and the compiler take plain data."""
    try:
        spec = load_text(json.dumps(data), installed=INSTALLED)
        compile_spec(spec, base=Path("/"), check_bundles=False)
    except InvalidSpecError:
        return False
    return True


WRONG = st.sampled_from([None, True, 0, -1, 1, 2, 2.5, 1e300, 10**12]) | st.sampled_from(
    ["", " ", "x", "No_Label", "10 m", "1h", "16gi", "4", "true", "ask", "gpu", "sqlite"]
)
WRONG |= st.sampled_from([[], [1], ["a", "a"], {}, {"x": 1}, {"low": 1}, {"value": 1}]).map(
    copy.deepcopy
)


@given(data=st.data(), which=st.sampled_from(["cloud", "kubernetes", "small"]))
def test_what_the_schema_refuses_the_loader_refuses(
    data: st.DataObject, which: str, small: str, cloud: str, kubernetes: str
) -> None:
    text = {"small": small, "cloud": cloud, "kubernetes": kubernetes}[which]
    spec = plain(text)
    assert is_taken(spec)
    for _ in range(data.draw(st.integers(1, 2))):
        *around, last = data.draw(st.sampled_from([path for path in paths(spec) if path]))
        node = spec
        for part in around:
            node = node[part]
        match data.draw(st.sampled_from(["put", "remove", "add", "rename"])):
            case "put":
                node[last] = data.draw(WRONG)
            case "add" if isinstance(node, dict):
                node["unheardOf"] = data.draw(WRONG)
            case "rename" if isinstance(node, dict):
                node[f"{last}s"] = node.pop(last)
            case _:
                del node[last]
    assert VALIDATOR.is_valid(spec) or not is_taken(spec)


# A path into the file for azure, and what isn't allowed there for reasons of its own kind alone.
KINDS = {
    "text": ["metadata", "name"],
    "truth": ["spec", "provider", "per_user_registry"],
    "count": ["spec", "workerGroups", "default-cpu", "processes"],
    "mapping": ["spec", "databases", "optuna"],
    "list": ["spec", "algorithms", "optuna-calibration", "entrypoint", "targets"],
    "duration": ["spec", "algorithms", "optuna-calibration", "limits", "task_timeout"],
    "memory": ["spec", "workerGroups", "default-cpu", "resources", "memory"],
    "cpu": ["spec", "workerGroups", "default-cpu", "resources", "cpu"],
    "reference": ["spec", "algorithms", "optuna-calibration", "entrypoint", "bundleRef"],
    "bucket": ["spec", "objectStore", "bucket"],
    "prefix": ["spec", "registry", "prefix"],
}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10)
    | st.sampled_from(["a", "a-b", "A", "-a", "", " ", "10m", "1h30m", "m", "0s", "500m", "16Gi"])
    | st.sampled_from(["16gi", "a/b", "a//b", "a..b", "abc", "a" * 64, [], ["a"], {}, {"x": 1}])
    | st.sampled_from(
        [
            f"{start}r{mark}sha256:{'a' * digits}"
            for start in ("", "oci://h/", "oci://h:80/a/", "h/", "oci:/h/", "oci-layout:/h/")
            for mark in ("@", ":", "")
            for digits in (63, 64)
        ]
    )
    | st.sampled_from(["r:1.0", "r:-1", "oci://h/r:1", "oci-layout:///a b/r:1", "r:1 "])
    | st.sampled_from([f"sha256:{'a' * 64}", "oci-layout:a/r:1", "oci-layout:/../r:1", "r@1"])
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_and_the_loader_refuse_the_same_single_values(kind: str, cloud: str) -> None:
    valid = plain(cloud)

    @given(VALUES)
    def check(value: Any) -> None:
        spec = copy.deepcopy(valid)
        *around, last = KINDS[kind]
        node = spec
        for part in around:
            node = node[part]
        node[last] = value
        assert VALIDATOR.is_valid(spec) == is_taken(spec)

    check()
