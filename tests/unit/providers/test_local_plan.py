"""What the local provider makes of a plan."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelops.contracts import BundleRef, FloatParameter, Limits, SearchSpace
from modelops.core.errors import ProviderError
from modelops.providers.base import Component
from modelops.providers.local.layout import LocalLayout
from modelops.providers.local.plan import compile_plan
from modelops.spec.plan import (
    AlgorithmPlan,
    BundleSource,
    CompiledPlan,
    DatabasePlan,
    ObjectStorePlan,
    ProviderChoice,
    RegistryPlan,
    WorkerGroupPlan,
)

LAYOUT = LocalLayout(Path("/home"), Path("/home/local/dev"))
ALGORITHM = AlgorithmPlan(
    name="fit",
    type="optuna",
    workers="default",
    database="journal",
    object_store="results",
    bundle=BundleSource(ref=BundleRef("sir", "sha256:" + "0" * 64)),
    space=SearchSpace({"beta": FloatParameter(0, 1)}),
    targets=("prevalence",),
    model=None,
    seed=1,
    n_trials=10,
    n_parallel=4,
    replicates=2,
    options={},
    limits=Limits(),
)
PLAN = CompiledPlan(
    name="test",
    env="dev",
    provider=ProviderChoice("local"),
    registry=RegistryPlan(),
    object_store=ObjectStorePlan("results"),
    databases=(DatabasePlan("journal"), DatabasePlan("second-one")),
    worker_groups=(WorkerGroupPlan("default", 2, 2, processes=3, threads=4),),
    algorithms=(ALGORITHM,),
)


def test_each_stack_has_its_resources_in_order() -> None:
    stacks = compile_plan(PLAN, LAYOUT).stacks
    assert [(s.component, [r.name for r in s.resources]) for s in stacks] == [
        (Component.REGISTRY, ["bundles"]),
        (Component.INFRA, ["objects-results", "database-journal", "database-second-one"]),
        (Component.WORKSPACE, ["dask-scheduler", "workers-default"]),
        (Component.ADAPTIVE, [f"run-{stacks[3].run_id}"]),
    ]


def test_equal_plans_give_equal_provider_plans() -> None:
    assert compile_plan(PLAN, LAYOUT) == compile_plan(replace(PLAN), LAYOUT)


def test_a_run_without_a_name_is_named_after_its_plan_and_code() -> None:
    first = compile_plan(PLAN, LAYOUT).runs()[0].run_id
    other = replace(ALGORITHM, bundle=BundleSource(ref=BundleRef("sir", "sha256:" + "1" * 64)))
    second = compile_plan(replace(PLAN, algorithms=(other,)), LAYOUT).runs()[0].run_id
    named = replace(ALGORITHM, run_id="mine")
    assert first is not None
    assert first.startswith("fit-")
    assert first != second
    assert compile_plan(replace(PLAN, algorithms=(named,)), LAYOUT).runs()[0].run_id == "mine"


def test_a_run_whose_code_isnt_pinned_has_no_stack_yet() -> None:
    loose = replace(ALGORITHM, bundle=BundleSource(directory=Path("/code")))
    assert compile_plan(replace(PLAN, algorithms=(loose,)), LAYOUT).runs() == ()


def test_a_run_needs_the_database_that_it_is_bound_to() -> None:
    bound = replace(ALGORITHM, database="second-one")
    run = compile_plan(replace(PLAN, algorithms=(bound,)), LAYOUT).runs()[0].resources[0]
    assert "DATABASE_URL_SECOND_ONE" in run.needs
    assert "DATABASE_URL_JOURNAL" not in run.needs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"registry": RegistryPlan(kind="quay")}, "spec.registry.class is 'quay'"),
        ({"object_store": ObjectStorePlan("r", kind="nfs")}, "spec.objectStore.class is 'nfs'"),
        ({"provider": ProviderChoice("local", {"region": "x"})}, "doesn't know: region"),
        ({"worker_groups": (WorkerGroupPlan("a", 0, 2),)}, "spec.workerGroups.a is to scale"),
        ({"databases": (DatabasePlan("a", "postgres"),)}, "spec.databases.a.engine is 'postgres'"),
    ],
)
def test_what_this_machine_doesnt_run_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ProviderError, match=words):
        compile_plan(replace(PLAN, **change), LAYOUT)  # type: ignore[arg-type]


def test_a_clouds_spec_can_be_tried_here() -> None:
    cloud = replace(
        PLAN, registry=RegistryPlan("acr"), object_store=ObjectStorePlan("results", "azure-blob")
    )
    assert compile_plan(cloud, LAYOUT) == compile_plan(PLAN, LAYOUT)
