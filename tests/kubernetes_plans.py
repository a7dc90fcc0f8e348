"""Plans that tests of the provider `kubernetes` share."""

from typing import Any

from modelops.contracts import BundleRef, FloatParameter, Limits, SearchSpace
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

IMAGES = {
    "scheduler": "registry.example/scheduler@sha256:1",
    "worker": "registry.example/worker@sha256:2",
    "runner": "registry.example/runner@sha256:3",
}
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
    run_id="first",
)


def provider(**options: Any) -> ProviderChoice:
    """Return the choice of the provider, with images that no file has to name."""
    return ProviderChoice("kubernetes", {"images": IMAGES, **options})


PLAN = CompiledPlan(
    name="test",
    env="dev",
    provider=provider(),
    registry=RegistryPlan(),
    object_store=ObjectStorePlan("results"),
    databases=(DatabasePlan("journal"),),
    worker_groups=(
        WorkerGroupPlan("default", 2, 6, processes=2, threads=1, cpu=4.0, memory=16 * 1024**3),
    ),
    algorithms=(ALGORITHM,),
)
