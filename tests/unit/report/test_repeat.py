"""A spec that repeats a run is of the same plan."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from modelops.contracts import (
    CategoricalParameter,
    Constraint,
    EnvironmentMode,
    Execution,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Isolation,
    Limits,
    RunPlan,
    SearchSpace,
    TrialOrder,
)
from modelops.report.repeat import repeat_of
from modelops.spec import compile_spec
from modelops.spec.loading import load_text
from modelops.spec.show import to_data
from stored_run import make_plan

SPEC = """
apiVersion: modelops/v1
kind: Runtime
metadata: {name: test, env: staging}
spec:
  provider: {name: local}
  workerGroups:
    small: {min: 1, max: 1}
    large: {min: 2, max: 8, processes: 2, price: 0.5}
  algorithms:
    other:
      type: optuna
      entrypoint: {bundle: ., targets: [t], space: {x: {low: 0, high: 1}}}
    fit:
      type: optuna
      bindings: {workers: large}
      parameters: {n_trials: 5}
      entrypoint: {bundle: ., targets: [t], space: {x: {low: 0, high: 1}}}
"""
SPACE = SearchSpace(
    {
        "beta": FloatParameter(1e-7, 0.30000000000000004, log=True),
        "n": IntParameter(1, 2**40),
        "scenario": CategoricalParameter(("yes", "1", 1, True, 1.5)),
        "note: x": FixedParameter("a: [b"),
    }
)


@pytest.mark.parametrize(
    "plan",
    [
        make_plan(),
        make_plan(space=SPACE, model="age-structured", seed=2**64 - 1, options={"sampler": "tpe"}),
        make_plan(
            limits=Limits(task_timeout=0.25, task_memory=2**31, max_failures=7.0),
            execution=Execution(Isolation.FORK, EnvironmentMode.ISOLATED, keep_outputs=False),
        ),
        replace(make_plan(), n_parallel=3, n_trials=77),
        make_plan(
            space=SearchSpace(SPACE.parameters, (Constraint("beta < n"), Constraint("n > 5"))),
            order=TrialOrder.COMPLETION,
            limits=Limits(
                run_timeout=3600.0, max_cost=5.0, slot_price=0.25, target_loss=-0.5, patience=9
            ),
        ),
    ],
)
def test_the_plan_is_the_same(plan: RunPlan, tmp_path: Path) -> None:
    spec = to_data(load_text(SPEC))
    repeat = repeat_of("fit-0123abcd", plan, spec)
    compiled = compile_spec(load_text(repeat.spec), base=tmp_path, check_bundles=False)
    (algorithm,) = compiled.algorithms
    assert algorithm.bundle.ref is not None
    again = algorithm.pinned(algorithm.bundle.ref)
    assert again.identity() == plan.identity()
    assert again.default_run_id() == plan.default_run_id()
    assert again.limits == plan.limits
    assert again.execution == plan.execution
    assert (compiled.env, algorithm.workers) == ("staging", "large")


def test_the_command_takes_the_file_and_another_run_id() -> None:
    for run_id in ("fit-0123abcd", "a" * 63, "a-" * 31 + "a"):
        repeat = repeat_of(run_id, make_plan(), to_data(load_text(SPEC)))
        words = shlex.split(repeat.command)
        assert words[:4] == ["mops", "adaptive", "up", "fit"]
        assert words[words.index("--config") + 1] == repeat.file == f"{run_id}.yaml"
        again = words[words.index("--run-id") + 1]
        assert again != run_id
        assert len(again) <= 63
        assert "--" not in again
