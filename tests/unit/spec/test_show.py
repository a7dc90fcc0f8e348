from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelops.spec import RuntimeSpec, load_text, to_yaml

# What YAML can't hold: halves of surrogate pairs.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FILLED = TEXT.filter(lambda text: text.strip())
TRICKY = st.sampled_from(
    ["no", "1e-3", "08", "1:30", "2024-01-01", "~", "<<", "=", ".5", "0x1f", "*a"]
)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALAR = st.booleans() | st.integers(-(10**30), 10**30) | FINITE | TEXT | TRICKY
PLAIN = st.recursive(
    st.none() | SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | TRICKY, inner, max_size=3),
    max_leaves=5,
)
OPTION = st.text("xyzXYZ.: #", min_size=1, max_size=5) | st.sampled_from(["sampler", "no", "1"])


def bounds(low: float, high: float) -> dict[str, Any]:
    return {"low": min(low, high), "high": max(low, high)}


SPACE_ENTRY = st.one_of(
    st.builds(bounds, FINITE, FINITE),
    st.builds(bounds, st.integers(), st.integers()).map(lambda entry: {**entry, "type": "int"}),
    st.lists(SCALAR, min_size=1, max_size=4, unique_by=lambda item: (type(item), item)).map(
        lambda choices: {"choices": choices}
    ),
    SCALAR.map(lambda value: {"value": value}),
)
GROUP = st.fixed_dictionaries(
    {},
    optional={
        "min": st.integers(0, 5),
        "max": st.integers(1, 9),
        "kind": st.sampled_from(["k8s-pool", "processes"]),
        "resources": st.fixed_dictionaries(
            {}, optional={"cpu": st.sampled_from([2, 0.5, "500m"]), "memory": st.just("2Gi")}
        ),
        "image": st.fixed_dictionaries({"ref": FILLED}, optional={"pullSecret": FILLED}),
        "gpu": st.just({"count": 2}),
    },
)
ALGORITHM = st.fixed_dictionaries(
    {
        "type": FILLED | TRICKY,
        "entrypoint": st.fixed_dictionaries(
            {"bundle": FILLED, "space": st.dictionaries(FILLED, SPACE_ENTRY, max_size=3)},
            optional={"targets": st.lists(FILLED | TRICKY, max_size=3), "model": FILLED},
        ),
    },
    optional={
        "parameters": st.dictionaries(OPTION, PLAIN, max_size=3).flatmap(
            lambda options: st.integers(1, 40).map(lambda n: {**options, "n_trials": n})
        ),
        "bindings": st.fixed_dictionaries({}, optional={"workers": TEXT, "database": TEXT}),
        "limits": st.just({"task_timeout": "1h30m", "max_failures": 3}),
    },
)
SPEC = st.fixed_dictionaries(
    {
        "apiVersion": st.just("modelops/v1"),
        "kind": st.just("Runtime"),
        "metadata": st.fixed_dictionaries({"name": LABEL}, optional={"env": LABEL}),
        "spec": st.fixed_dictionaries(
            {
                "provider": st.dictionaries(OPTION, PLAIN, max_size=3).map(
                    lambda o: {**o, "name": "x"}
                )
            },
            optional={
                "registry": st.just({"class": "external", "url": "ghcr.io"}),
                "databases": st.dictionaries(LABEL, st.just({"engine": "sqlite"}), max_size=2),
                "workerGroups": st.dictionaries(LABEL, GROUP, max_size=2),
                "algorithms": st.dictionaries(LABEL, ALGORITHM, max_size=2),
            },
        ),
    }
)


@given(SPEC)
def test_what_is_shown_loads_as_an_equal_spec(data: dict[str, Any]) -> None:
    spec = RuntimeSpec.model_validate(data)
    shown = to_yaml(spec)
    again = load_text(shown)
    assert again == spec
    assert to_yaml(again) == shown


def test_every_default_is_shown(small: str) -> None:
    shown = yaml.safe_load(to_yaml(load_text(small)))
    assert shown["metadata"]["env"] == "dev"
    body = shown["spec"]
    assert body["registry"] == {"managed": True, "tls": False, "prefix": ""}
    assert body["objectStore"] == {"name": "results", "managed": True}
    assert body["databases"] == {"journal": {"managed": True, "containerized": False}}
    assert body["workerGroups"]["default"] == {
        "min": 2,
        "max": 2,
        "processes": 1,
        "threads": 1,
        "spot": False,
        "resources": {},
    }
    algorithm = body["algorithms"]["calibration"]
    assert algorithm["bindings"] == {
        "workers": "default",
        "database": "journal",
        "objectStore": "results",
    }
    assert algorithm["parameters"] == {
        "n_trials": 300,
        "n_parallel": 16,
        "replicates": 10,
        "seed": 1,
        "order": "ask",
    }
    assert algorithm["limits"] == {"max_failures": 0.2}
    assert algorithm["entrypoint"]["space"]["beta"] == {
        "low": 0.5,
        "high": 4,
        "log": False,
        "type": "float",
    }


def test_the_fullest_form_survives(fullest: str) -> None:
    spec = load_text(fullest)
    assert load_text(to_yaml(spec)) == spec


def test_units_stay_as_they_were_written(fullest: str) -> None:
    shown = to_yaml(load_text(fullest))
    assert "memory: 16Gi" in shown
    assert "run_timeout: 8h" in shown
