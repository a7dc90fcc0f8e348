import json
import pickle
import string
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from modelops.contracts import (
    Address,
    BindingOutputs,
    BundleRef,
    BundleTag,
    CategoricalParameter,
    ContractError,
    EnvironmentMode,
    Execution,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Isolation,
    Limits,
    PublicKey,
    RunPlan,
    SearchSpace,
    SecretRef,
    SimTask,
    TrialOrder,
    UniqueParameterSet,
    parse_reference,
)
from modelops.contracts.bundles import REFERENCE

text = st.text(st.characters(exclude_categories=["Cs"]))
finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | st.integers() | finite | text
seeds = st.integers(0, 2**64 - 1)
digests = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
components = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True)
repositories = st.lists(components, min_size=1, max_size=3).map("/".join)
hosts = st.none() | st.sampled_from(["ghcr.io", "localhost:5000", "10.0.0.1:80", "[::1]:5000"])
places = st.tuples(repositories, hosts, st.none()) | st.tuples(
    components, st.none(), st.sampled_from(["/", "/srv/bundles", "/a b@c/sha256:d", "/.x/..y"])
)
bundle_refs = st.builds(lambda at, name: BundleRef(at[0], name, *at[1:]), places, digests)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
bundle_tags = st.builds(lambda at, name: BundleTag(at[0], name, *at[1:]), places, tags)
fn_refs = st.sampled_from(["model:simulate", "pkg.sub.module:Class.method"])


@st.composite
def floats_between(draw: st.DrawFn) -> FloatParameter:
    log = draw(st.booleans())
    low = draw(st.floats(1e-9 if log else -1e9, 1e9))
    return FloatParameter(low, draw(st.floats(low, 1e10)), log)


@st.composite
def ints_between(draw: st.DrawFn) -> IntParameter:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -(2**70), 2**70))
    return IntParameter(low, draw(st.integers(low, 2**71)), log)


choices = st.lists(scalars, min_size=1, unique_by=lambda value: (type(value), value))
parameters = (
    floats_between()
    | ints_between()
    | choices.map(lambda values: CategoricalParameter(tuple(values)))
    | scalars.map(FixedParameter)
)
spaces = st.dictionaries(text, parameters, max_size=5).map(SearchSpace)
counts = st.integers(1, 10_000)
limits = st.builds(
    Limits,
    st.none() | st.floats(1e-3, 1e6),
    st.none() | st.integers(1, 2**50),
    st.floats(0, 1e6),
)
executions = st.builds(
    Execution,
    st.sampled_from(Isolation),
    st.sampled_from(EnvironmentMode),
    st.booleans(),
    st.booleans(),
)
plans = st.builds(
    RunPlan,
    algorithm=st.just("fit"),
    type=st.just("optuna"),
    bundle_ref=bundle_refs,
    space=spaces,
    targets=st.lists(text, max_size=3).map(tuple),
    model=st.none() | text,
    seed=seeds,
    n_trials=counts,
    n_parallel=counts,
    replicates=counts,
    options=st.dictionaries(text, scalars, max_size=3),
    limits=limits,
    execution=executions,
)
tasks = st.builds(
    SimTask,
    bundle_ref=bundle_refs,
    fn_ref=fn_refs,
    params=st.dictionaries(text, scalars, max_size=4),
    seed=seeds,
    outputs=st.lists(text, max_size=3, unique=True).map(lambda names: tuple(sorted(names))),
)
secret_refs = st.builds(SecretRef, st.sampled_from(["k8s", "file"]), text, text)
addresses = st.builds(Address, text, st.integers(0, 65535), st.sampled_from(["tcp", "tls"]))
bindings = st.builds(
    BindingOutputs,
    st.dictionaries(text, text),
    st.dictionaries(text, secret_refs),
    st.dictionaries(text, addresses),
)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def typed(space: SearchSpace) -> str:
    """Equality takes 1 and 1.0 and True for the same; the written form doesn't."""
    return repr([(name, item) for name, item in space.parameters.items()])


@given(spaces)
def test_search_space(space: SearchSpace) -> None:
    back = SearchSpace.from_json(through_json(space.to_json()))
    assert back == space
    assert typed(back) == typed(space)
    assert list(back.parameters) == list(space.parameters)
    assert typed(pickle.loads(pickle.dumps(space))) == typed(space)


@given(plans)
def test_run_plan(plan: RunPlan) -> None:
    back = RunPlan.from_json(through_json(plan.to_json()))
    assert back == plan
    assert back.default_run_id() == plan.default_run_id()
    assert pickle.loads(pickle.dumps(plan)) == plan


@given(tasks)
def test_sim_task(task: SimTask) -> None:
    back = SimTask.from_json(through_json(task.to_json()))
    assert back == task
    assert back.task_id == task.task_id
    assert pickle.loads(pickle.dumps(task)) == task


@given(bindings)
def test_binding_outputs(outputs: BindingOutputs) -> None:
    written = through_json(outputs.to_json())
    for address in written["addresses"].values():
        address["port"] = float(address["port"])
    assert BindingOutputs.from_json(written) == outputs
    assert pickle.loads(pickle.dumps(outputs)) == outputs


@given(bundle_refs)
def test_bundle_ref(ref: BundleRef) -> None:
    assert BundleRef.parse(str(ref)) == ref
    assert parse_reference(str(ref)) == ref
    assert REFERENCE.fullmatch(str(ref))


@given(bundle_tags)
def test_bundle_tag(tag: BundleTag) -> None:
    assert parse_reference(str(tag)) == tag
    assert REFERENCE.fullmatch(str(tag))
    with pytest.raises(ContractError, match="isn't pinned by a digest"):
        BundleRef.parse(str(tag))


@given(bundle_tags, digests)
def test_what_a_tag_names_is_at_the_same_place(tag: BundleTag, digest: str) -> None:
    ref = tag.pinned(digest)
    assert (ref.repository, ref.host, ref.layout) == (tag.repository, tag.host, tag.layout)
    assert ref.is_in_own_registry == tag.is_in_own_registry
    assert str(ref) == str(tag).removesuffix(f":{tag.tag}") + f"@{digest}"


@given(repositories, digests, st.sampled_from(["ghcr.io", "localhost:5000"]))
def test_the_older_spelling_of_a_reference(repository: str, digest: str, host: str) -> None:
    older = BundleRef.parse(f"oci://{host}/{repository}:{digest}")
    assert older == BundleRef.parse(f"oci://{host}/{repository}@{digest}")
    assert str(older) == f"oci://{host}/{repository}@{digest}"


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sir",
        "sir:latest",
        f"sir@sha256:{HEX[:12]}",
        f"sir@sha256:{HEX.upper()}",
        f"sir@sha256:0x{HEX[2:]}",
        f"sir@sha256:{HEX[:-1]}_",
        f"sir@sha256:{HEX[:-1]} ",
        f"sir@sha256:{HEX[:-1]}٣",
        f"sir@sha256:{HEX}\n",
        f"sir@sha512:{HEX}",
        f"Sir@sha256:{HEX}",
        f"../sir@sha256:{HEX}",
        f"oci://ghcr.io@sha256:{HEX}",
        f"oci:///sir@sha256:{HEX}",
        f"oci://user:secret@ghcr.io/sir@sha256:{HEX}",
        f"https://ghcr.io/sir@sha256:{HEX}",
        f"oci-layout:relative/sir@sha256:{HEX}",
        f"oci-layout:sir@sha256:{HEX}",
        f"oci-layout://host/sir@sha256:{HEX}",
        f"oci-layout:/a/../sir@sha256:{HEX}",
        f"oci-layout:/a//sir@sha256:{HEX}",
        f"oci-layout:/a/SIR@sha256:{HEX}",
        f"oci-layout:/a\n/sir@sha256:{HEX}",
        f"oci-layout:/\ud800/sir@sha256:{HEX}",
        f"sha256:{HEX}",
    ],
)
def test_what_is_no_pinned_reference(text: str) -> None:
    with pytest.raises(ContractError, match="64"):
        BundleRef.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sir",
        "oci://ghcr.io/sir",
        "oci://localhost:5000",
        "oci-layout:/a/sir",
        "sir:",
        "sir:-1",
        "sir:1.0+local",
        "sir:1.0 ",
        "sir:1.0\n",
        "sir:\u0661",
        f"sir:{'1' * 129}",
        f"sir:1.0@sha256:{HEX}",
        f"sir:sha256:{HEX[:12]}",
        f"sir@{HEX}",
        f"sha256:{HEX}",
        f"oci://ghcr.io/sha256:{HEX}",
        "localhost:5000/sir:1.0",
        "https://ghcr.io/sir:1.0",
        "oci-layout:sir:1.0",
        "oci-layout://host/sir:1.0",
    ],
)
def test_what_is_no_reference_is_told_the_accepted_forms(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_reference(text)
    for form in (
        "oci://host/repository@sha256:<64 hex digits>",
        "repository:1.0.0",
        "oci-layout:/",
    ):
        assert form in str(caught.value)
    assert not REFERENCE.fullmatch(text)


@pytest.mark.parametrize("name", [f"@sha256:{HEX}", f":sha256:{HEX}", ":1.0"])
def test_a_password_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_reference(f"oci://me:pw-secret@ghcr.io/sir{name}")
    assert "pw-secret" not in str(caught.value)


@pytest.mark.parametrize("name", [f"@sha256:{HEX}", f":sha256:{HEX}", ":1.0"])
def test_a_directory_may_be_written_as_a_url(name: str) -> None:
    ref = parse_reference(f"oci-layout:///srv/My Bundles/sir{name}")
    assert (ref.repository, ref.layout) == ("sir", "/srv/My Bundles")
    canonical = f"@sha256:{HEX}" if HEX in name else name
    assert str(ref) == f"oci-layout:/srv/My Bundles/sir{canonical}"


# Pieces of references in any order, so that many are nearly right.
pieces = st.lists(
    st.sampled_from(
        [
            "oci://",
            "oci-layout:",
            "//",
            "/",
            "ghcr.io",
            "a",
            "b",
            "..",
            ":",
            "@",
            "sha256",
            HEX,
            "1",
        ]
    )
    | st.text(string.printable, max_size=3)
).map("".join)


@given(pieces)
def test_parse_gives_a_reference_or_a_contract_error(text: str) -> None:
    try:
        ref = parse_reference(text)
    except ContractError:
        assert not REFERENCE.fullmatch(text)
        return
    assert parse_reference(str(ref)) == ref
    assert REFERENCE.fullmatch(text)


@given(pieces)
def test_a_pinned_reference_is_one_that_has_a_digest(text: str) -> None:
    try:
        ref = BundleRef.parse(text)
    except ContractError:
        return
    assert parse_reference(text) == ref
    assert text.endswith(ref.digest)


@given(tasks, st.data())
def test_a_task_is_all_that_can_change_its_result(task: SimTask, data: st.DataObject) -> None:
    others = [
        replace(task, seed=task.seed ^ 1),
        replace(task, params={**task.params, "another parameter": 1}),
        replace(task, fn_ref="other:function"),
        replace(task, outputs=(*task.outputs, "another output")),
        replace(
            task,
            bundle_ref=replace(
                task.bundle_ref,
                digest=data.draw(digests.filter(lambda digest: digest != task.bundle_ref.digest)),
            ),
        ),
    ]
    assert len({task.task_id, *(other.task_id for other in others)}) == 6
    moved = replace(
        task, bundle_ref=replace(task.bundle_ref, layout=None, host="elsewhere", repository="x")
    )
    assert moved.task_id == task.task_id


@given(plans, seeds)
def test_the_run_id_follows_from_the_plan(plan: RunPlan, seed: int) -> None:
    assert plan.default_run_id().startswith("fit-")
    moved = replace(
        plan, bundle_ref=replace(plan.bundle_ref, layout=None, host="elsewhere", repository="x")
    )
    assert moved.default_run_id() == plan.default_run_id()
    execution = replace(plan.execution, isolation=Isolation.FRESH, profile=True)
    assert replace(plan, execution=execution).default_run_id() == plan.default_run_id()
    other = {EnvironmentMode.LAYERED: EnvironmentMode.ISOLATED}.get(
        plan.execution.environment, EnvironmentMode.LAYERED
    )
    packages = replace(plan, execution=replace(plan.execution, environment=other))
    assert packages.default_run_id() != plan.default_run_id()
    if seed != plan.seed:
        assert replace(plan, seed=seed).default_run_id() != plan.default_run_id()


def test_what_came_later_leaves_the_names_of_older_runs_alone() -> None:
    plan = RunPlan(
        algorithm="fit",
        type="optuna",
        bundle_ref=BundleRef("sir", f"sha256:{'ab' * 32}"),
        space=SearchSpace({"x": FloatParameter(0.0, 1.0)}),
        targets=("x",),
    )
    # What a plan had before there were stopping rules and another order.
    assert set(plan.to_json()["limits"]) == {"task_timeout", "task_memory", "max_failures"}
    assert "order" not in plan.to_json()
    for other in (
        replace(plan, order=TrialOrder.COMPLETION),
        replace(plan, limits=Limits(patience=3)),
        replace(plan, limits=Limits(target_loss=0.0)),
        replace(plan, limits=Limits(run_timeout=1.0)),
        replace(plan, limits=Limits(max_cost=1.0, slot_price=0.0)),
    ):
        assert other.default_run_id() != plan.default_run_id()
        assert RunPlan.from_json(json.loads(json.dumps(other.to_json()))) == other


def test_nothing_can_be_changed() -> None:
    space = SearchSpace({"a": FloatParameter(0.0, 1.0)})
    ref = BundleRef("sir", f"sha256:{HEX}")
    source: dict[str, Any] = {"a": 1}
    parameters_set = UniqueParameterSet.from_dict(source)
    task = SimTask(ref, "model:run", source, 1)
    plan = RunPlan("fit", "optuna", ref, space, (), options=source)
    outputs = BindingOutputs(env={"A": "b"})
    source["a"] = 2
    assert parameters_set.params["a"] == task.params["a"] == plan.options["a"] == 1
    for mapping in (parameters_set.params, task.params, plan.options, outputs.env):
        with pytest.raises(TypeError):
            mapping["a"] = 3  # type: ignore[index]
    for thing in (space, ref, parameters_set, task, plan, outputs):
        with pytest.raises(FrozenInstanceError):
            thing.anything = 1  # type: ignore[union-attr]


def test_a_key_travels_with_the_plan_and_changes_no_identity() -> None:
    plan = RunPlan("fit", "optuna", BundleRef("sir", f"sha256:{HEX}"), SearchSpace({}), ())
    key = PublicKey(bytes.fromhex("302a300506032b6570032100") + bytes(range(32)))
    signed = replace(plan, public_key=key)
    assert RunPlan.from_json(json.loads(json.dumps(signed.to_json()))).public_key == key
    assert signed.default_run_id() == plan.default_run_id()
    assert "public_key" not in plan.to_json()
    for wrong in (None, 3, "", key.to_pem().replace("PUBLIC", "PRIVATE")):
        with pytest.raises(ContractError):
            RunPlan.from_json({**plan.to_json(), "public_key": wrong})


@pytest.mark.parametrize("broken", [{}, {"bundle_ref": 1}, {"bundle_ref": "x"}, {"space": None}])
def test_a_broken_plan_is_a_contract_error(broken: dict[str, Any]) -> None:
    plan = RunPlan("fit", "optuna", BundleRef("sir", f"sha256:{HEX}"), SearchSpace({}), ())
    written = {**plan.to_json(), **broken} if broken else {}
    with pytest.raises(ContractError):
        RunPlan.from_json(written)


@example([[]])
@settings(phases=[Phase.explicit])
@given(
    st.recursive(st.none() | scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner))
)
def test_no_json_raises_anything_but_a_contract_error(value: Any) -> None:
    plan = RunPlan("fit", "optuna", BundleRef("sir", f"sha256:{HEX}"), SearchSpace({}), ())
    for name in plan.to_json():
        try:
            RunPlan.from_json({**plan.to_json(), name: value})
        except ContractError:
            continue


def test_some_bindings_are_chosen_by_how_their_names_begin() -> None:
    secret = SecretRef("k8s", "login", "password")
    outputs = BindingOutputs(
        env={"DASK_SCHEDULER": "tls://x", "OBJECT_STORE_URL": "file:///x"},
        secrets={"DATABASE_URL_JOURNAL": secret, "OTHER": secret},
        addresses={"dask-scheduler": Address("x", 1, "tls")},
    )

    assert outputs.only("DASK_", "DATABASE_URL_") == BindingOutputs(
        {"DASK_SCHEDULER": "tls://x"}, {"DATABASE_URL_JOURNAL": secret}, outputs.addresses
    )
    assert outputs.only("") == outputs
    assert outputs.only() == BindingOutputs(addresses=outputs.addresses)
