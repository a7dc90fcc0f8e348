"""From the command line to one run of a spec."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.bundles.template import create_bundle
from modelops.cli import session
from modelops.cli.options import Options
from modelops.contracts import BindingOutputs, BundleRef
from modelops.core.errors import BundleNotThereError, UsageError
from modelops.infra.chain import StackChain

SPEC = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: two}
spec:
  provider: {name: local}
  algorithms:
    first: &one
      type: optuna
      entrypoint: {bundle: not-there, targets: [t], space: {a: {low: 0, high: 1}}}
    second: *one
"""


@pytest.fixture
def chain(tmp_path: Path, modelops_home: Path) -> StackChain:
    (tmp_path / "runtime.yaml").write_text(SPEC)
    return session.open_chain(Options(config=tmp_path / "runtime.yaml"))


def test_one_of_several_algorithms_must_be_named(chain: StackChain) -> None:
    with pytest.raises(UsageError, match="Name one of: first, second"):
        session.for_run(chain, None, None)
    with pytest.raises(UsageError, match="no algorithm 'third'"):
        session.for_run(chain, "third", None)


def test_a_run_concerns_its_own_algorithm_only(chain: StackChain) -> None:
    one = session.for_run(chain, "second", "mine").plan.algorithms
    assert [(algorithm.name, algorithm.run_id) for algorithm in one] == [("second", "mine")]


def test_a_spec_without_algorithms_says_so(chain: StackChain) -> None:
    empty = replace(chain, plan=replace(chain.plan, algorithms=()))
    with pytest.raises(UsageError, match="no algorithm"):
        session.for_run(empty, None, None)


@pytest.mark.parametrize("run_id", ["", "Not a label", "../up", "x" * 90])
def test_a_name_that_cant_be_a_runs_is_refused(chain: StackChain, run_id: str) -> None:
    with pytest.raises(UsageError):
        session.for_run(chain, "first", run_id)


@pytest.mark.parametrize("place", ["", "oci-layout:{folder}/"])
def test_a_tag_is_resolved_before_anything_runs(
    tmp_path: Path, modelops_home: Path, place: str
) -> None:
    create_bundle(tmp_path / "model", "sir")
    folder = tmp_path / "registry"
    digest = open_store(f"oci-layout://{folder}").push("team/sir", pack(tmp_path / "model")).digest
    written = f"{place.format(folder=folder)}team/sir"
    (tmp_path / "runtime.yaml").write_text(
        SPEC.replace("bundle: not-there", f"bundleRef: {written}:0.1.0")
    )
    unresolved = session.open_chain(Options(config=tmp_path / "runtime.yaml", quiet=True))
    assert session.pinned_by_content(unresolved).provider_plan().runs() == ()
    registry = BindingOutputs(env={"MODELOPS_BUNDLE_REGISTRY": f"oci-layout://{folder}"})
    chain = session.pushed(unresolved, Options(quiet=True), registry)
    refs = [algorithm.bundle.ref for algorithm in chain.plan.algorithms]
    assert refs == [BundleRef.parse(f"{written}@{digest}")] * 2
    pinned = SPEC.replace("bundle: not-there", f"bundleRef: {written}@{digest}")
    (tmp_path / "runtime.yaml").write_text(pinned)
    same = session.open_chain(Options(config=tmp_path / "runtime.yaml"))
    assert chain.provider_plan() == same.provider_plan()


def test_a_tag_that_isnt_there_is_an_error(tmp_path: Path, modelops_home: Path) -> None:
    (tmp_path / "runtime.yaml").write_text(SPEC.replace("bundle: not-there", "bundleRef: sir:1"))
    chain = session.open_chain(Options(config=tmp_path / "runtime.yaml", quiet=True))
    registry = BindingOutputs(env={"MODELOPS_BUNDLE_REGISTRY": f"oci-layout://{tmp_path}/none"})
    with pytest.raises(BundleNotThereError, match="There is no sir:1 "):
        session.pushed(chain, Options(quiet=True), registry)


def test_a_bundle_that_isnt_there_matters_only_to_those_who_pack(chain: StackChain) -> None:
    assert len(chain.provider_plan().stacks) == 3
    with pytest.raises(session.SpecError, match="there is no directory"):
        session.pinned_by_content(chain)
