"""What the local provider makes of a plan."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelops.contracts import BundleRef, FloatParameter, Limits, SearchSpace
from modelops.core.errors import ProviderError, UsageError
from modelops.providers.base import Component, ProviderPlan, ResourcePlan
from modelops.providers.local.layout import LocalLayout
from modelops.providers.local.plan import (
    EXTERNAL_DATABASE,
    POSTGRES,
    SQLITE,
    compile_plan,
)
from modelops.providers.local.provider import LocalProvider
from modelops.providers.needs import CERTIFICATE_BINDING
from modelops.spec.plan import (
    AlgorithmPlan,
    BundleSource,
    CompiledPlan,
    DatabasePlan,
    GpuPlan,
    ImagePlan,
    ObjectStorePlan,
    ProviderChoice,
    RegistryPlan,
    WorkerGroupPlan,
)

LAYOUT = LocalLayout(Path("/home"), Path("/home/local/dev"), Path("/home/secrets/dev"))
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
        ({"databases": (DatabasePlan("a", "mysql"),)}, "spec.databases.a.engine is 'mysql'"),
    ],
)
def test_what_this_machine_doesnt_run_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ProviderError, match=words):
        compile_plan(replace(PLAN, **change), LAYOUT)  # type: ignore[arg-type]


def test_a_registry_process_keeps_its_data_apart_and_hands_on_who_may_use_it() -> None:
    open_to_all = replace(PLAN, registry=RegistryPlan("distribution"))
    plan = compile_plan(open_to_all, LAYOUT)
    registry = plan.stack(Component.REGISTRY).resources[0]
    assert registry.properties["data"] == "/home/local/dev/registry-data"
    assert Path(registry.properties["data"]) in LAYOUT.data_directories()
    closed = replace(PLAN, registry=RegistryPlan("distribution", auth="htpasswd", tls=True))
    more = {
        "MODELOPS_BUNDLE_REGISTRY_USERNAME",
        "MODELOPS_BUNDLE_REGISTRY_PASSWORD",
        "MODELOPS_BUNDLE_REGISTRY_CA_FILE",
    }
    for of_all, of_closed in zip(
        readers_of_bundles(plan), readers_of_bundles(compile_plan(closed, LAYOUT)), strict=True
    ):
        assert set(of_closed.needs) - set(of_all.needs) == more


def readers_of_bundles(plan: ProviderPlan) -> list[ResourcePlan]:
    return [plan.stack(Component.WORKSPACE).resources[1], plan.runs()[0].resources[0]]


def test_who_reads_from_an_external_registry_gets_proxies_cas_and_logins() -> None:
    external = replace(PLAN, registry=RegistryPlan("external", managed=False, url="ghcr.io"))
    for resource in readers_of_bundles(compile_plan(external, LAYOUT)):
        inherited = resource.properties["inherit"]
        assert {"HTTPS_PROXY", "REQUESTS_CA_BUNDLE", "DOCKER_CONFIG"} < set(inherited)
        assert "MODELOPS_BUNDLE_CACHE_BYTES" in inherited
        assert {"MODELOPS_BUNDLE_INSECURE", "REGISTRY_AUTH_FILE", "AZURE_CLIENT_ID"} < set(
            inherited
        )
    for resource in readers_of_bundles(compile_plan(PLAN, LAYOUT)):
        assert resource.properties["inherit"] == [
            "MODELOPS_BUNDLE_CACHE_BYTES",
            "UV_*",
            "MODELOPS_GIT_CREDENTIALS",
            "MODELOPS_GIT_CREDENTIALS_FILE",
        ]


def test_a_clouds_spec_can_be_tried_here() -> None:
    cloud = replace(
        PLAN, registry=RegistryPlan("acr"), object_store=ObjectStorePlan("results", "azure-blob")
    )
    made = compile_plan(cloud, LAYOUT)
    assert made.stacks == compile_plan(PLAN, LAYOUT).stacks
    assert made.notes == (
        "spec.registry: a folder of OCI image layouts instead of acr",
        "spec.objectStore: a folder instead of azure-blob",
    )


def database(plan: DatabasePlan) -> ResourcePlan:
    stack = compile_plan(replace(PLAN, databases=(plan,)), LAYOUT).stack(Component.INFRA)
    return stack.resources[-1]


def test_postgres_has_its_secrets_beside_those_of_other_stacks() -> None:
    resource = database(DatabasePlan("journal", "postgres"))
    assert resource.type == POSTGRES
    assert resource.properties["binding"] == "DATABASE_URL_JOURNAL"
    assert resource.properties["path"] == "/home/local/dev/databases/journal"
    assert resource.properties["url_file"] == "/home/secrets/dev/stack/database-journal-url"


def test_an_external_database_is_where_a_persons_secret_says() -> None:
    resource = database(DatabasePlan("journal", managed=False, url_from="team"))
    assert resource.type == EXTERNAL_DATABASE
    assert resource.properties["path"] == "/home/secrets/dev/team"


AZURE = replace(
    PLAN,
    provider=ProviderChoice("local", {}, ProviderChoice("azure", {"location": "eastus2"})),
    object_store=ObjectStorePlan("results", "azure-blob", managed=False, bucket="fits"),
    databases=(DatabasePlan("journal", "postgres", size="small", containerized=True),),
    worker_groups=(
        WorkerGroupPlan(
            "default", 0, 4, cpu=4.0, memory=2**30, kind="k8s-pool", profile="gpu", spot=True,
            image=ImagePlan("ghcr.io/org/worker:main"), gpu=GpuPlan("nvidia", 2, "A10"),
        ),
    ),
)  # fmt: skip


def test_all_that_is_done_otherwise_is_said() -> None:
    assert compile_plan(AZURE, LAYOUT).notes == (
        "spec.provider: this machine instead of azure",
        "spec.provider: not used on this machine: location",
        "spec.objectStore: a folder instead of azure-blob; fits there isn't read or written",
        "spec.databases.journal: an SQLite file instead of postgres",
        "spec.databases.journal: not used on this machine: size, containerized",
        "spec.workerGroups.default: processes of this machine instead of k8s-pool",
        (
            "spec.workerGroups.default: the Python that mops runs in instead of the image "
            "ghcr.io/org/worker:main"
        ),
        "spec.workerGroups.default: no GPU is set aside; 2 nvidia A10 were asked for",
        (
            "spec.workerGroups.default: not used on this machine: spot, resources.cpu, "
            "resources.memory"
        ),
    )


def test_a_spec_for_this_machine_is_done_as_it_says() -> None:
    assert compile_plan(PLAN, LAYOUT).notes == ()


def test_only_a_spec_of_another_provider_is_tried_out_with_less() -> None:
    def journal(plan: CompiledPlan) -> str:
        return compile_plan(plan, LAYOUT).stack(Component.INFRA).resources[-1].type

    groups = PLAN.worker_groups
    assert journal(replace(AZURE, worker_groups=groups)) == SQLITE
    here = replace(AZURE, worker_groups=groups, provider=ProviderChoice("local"))
    assert journal(here) == POSTGRES


def test_both_kinds_of_registry_can_be_named() -> None:
    here = compile_plan(replace(PLAN, registry=RegistryPlan("oci-layout")), LAYOUT)
    assert here == compile_plan(PLAN, LAYOUT)
    served = compile_plan(replace(PLAN, registry=RegistryPlan("distribution")), LAYOUT)
    assert served.stack(Component.REGISTRY) != here.stack(Component.REGISTRY)


def test_the_bucket_names_the_folder_of_the_object_store() -> None:
    plan = replace(PLAN, object_store=ObjectStorePlan("results", "local-dir", bucket="fits"))
    store = compile_plan(plan, LAYOUT).stack(Component.INFRA).resources[0]
    assert store.properties["path"] == "/home/local/dev/objects/fits"


def test_a_group_may_scale_from_nothing() -> None:
    scaled = replace(PLAN, worker_groups=(WorkerGroupPlan("default", 0, 3),))
    group = compile_plan(scaled, LAYOUT, 5.0).stacks[2].resources[1]
    assert (group.properties["min"], group.properties["max"]) == (0, 3)
    assert group.properties["idle_seconds"] == 5.0
    assert "idle_seconds" not in compile_plan(scaled, LAYOUT).stacks[2].resources[1].properties


def test_whoever_talks_to_the_cluster_is_told_of_its_certificate() -> None:
    stacks = compile_plan(PLAN, LAYOUT).stacks
    scheduler, group = stacks[2].resources
    run = stacks[3].resources[0]
    assert CERTIFICATE_BINDING in group.needs
    assert set(scheduler.gives) <= set(run.needs)
    assert {name for name in run.needs if "__TLS__CLIENT__" in name}
    secrets = str(LAYOUT.secrets)
    assert scheduler.properties["authority"].startswith(secrets)
    assert group.properties["certificate"] == scheduler.properties["certificate"]


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_an_idle_time_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELOPS_IDLE_SECONDS", text)
    with pytest.raises(UsageError, match="MODELOPS_IDLE_SECONDS"):
        LocalProvider().compile(PLAN)
