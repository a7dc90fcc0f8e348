"""The spec and the command that repeat a run, whatever its own spec has become meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import yaml

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    IntParameter,
    Limits,
    Parameter,
    RunPlan,
)
from modelops.spec.yaml_text import Dumper


@dataclass(frozen=True)
class Repeat:
    """How a run is repeated: a spec, as YAML, the name of its file, and the command."""

    spec: str
    file: str
    command: str


def repeat_of(run_id: str, plan: RunPlan, spec: Mapping[str, Any]) -> Repeat:
    """Return how a run is repeated.

    Args:
        run_id: the run's.
        plan: the run's.
        spec: the environment's RuntimeSpec as plain data, for all that isn't the algorithm's.
    """
    file, again = f"{run_id}.yaml", _again(run_id)
    parts = dict(spec["spec"])
    own = parts.get("algorithms", {}).get(plan.algorithm, {})
    parts["algorithms"] = {plan.algorithm: algorithm_of(plan, own)}
    text = yaml.dump(
        {**spec, "spec": parts},
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    command = f"mops adaptive up {plan.algorithm} --run-id {again} --config {file}"
    return Repeat(text, file, command)


def algorithm_of(plan: RunPlan, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return an algorithm of a spec that has a plan, its code pinned by digest.

    Args:
        plan: the run's.
        spec: the algorithm as the spec has it now, for what isn't in a plan.
    """
    entrypoint: dict[str, Any] = {"bundleRef": str(plan.bundle_ref)}
    signature = spec.get("entrypoint", {}).get("require_signature")
    if plan.public_key is not None and signature is not None:
        entrypoint["require_signature"] = signature
    if plan.model is not None:
        entrypoint["model"] = plan.model
    entrypoint["targets"] = list(plan.targets)
    entrypoint["space"] = {
        name: _entry(parameter) for name, parameter in plan.space.parameters.items()
    }
    if plan.space.constraints:
        entrypoint["constraints"] = [item.text for item in plan.space.constraints]
    bound = {"bindings": spec["bindings"]} if "bindings" in spec else {}
    return {
        "type": plan.type,
        **bound,
        "parameters": {
            "n_trials": plan.n_trials,
            "n_parallel": plan.n_parallel,
            "replicates": plan.replicates,
            "seed": plan.seed,
            "order": plan.order.value,
            **plan.options,
        },
        "execution": {
            "isolation": plan.execution.isolation.value,
            "environment": plan.execution.environment.value,
            "keepOutputs": plan.execution.keep_outputs,
        },
        "limits": _limits(plan.limits),
        "entrypoint": entrypoint,
    }


def _again(run_id: str) -> str:
    # A run-id is a DNS label, of at most 63 characters with what is put before it.
    return f"{run_id[:40].rstrip('-')}-again"


def _entry(parameter: Parameter) -> dict[str, Any]:
    match parameter:
        case CategoricalParameter(choices):
            return {"choices": list(choices)}
        case FixedParameter(value):
            return {"value": value}
        case _:
            kind = {"type": "int"} if isinstance(parameter, IntParameter) else {}
            log = {"log": True} if parameter.log else {}
            return {"low": parameter.low, "high": parameter.high, **log, **kind}


def _limits(limits: Limits) -> dict[str, Any]:
    given = {item.name: getattr(limits, item.name) for item in fields(limits)}
    return {
        # A plan has seconds where a spec has a duration.
        name: f"{value:.15g}s" if name.endswith("_timeout") else value
        for name, value in given.items()
        # The price is the worker group's.
        if value is not None and name != "slot_price"
    }
