"""A smoke test's steps: their limit of time, their errors, and a bundle that is wrong."""

import threading
from pathlib import Path

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.contracts import BundleRef, ContractError
from modelops.core.errors import BundleError, NotThereError, ServiceError
from modelops.services.cluster_place import ClusterPlace
from modelops.services.connection_checks import connection_checks
from modelops.services.dask_check import ClusterCheck, WorkerCheck
from modelops.services.smoke_bundle import SmokeBundle
from modelops.services.smoke_place import find_place
from modelops.services.smoke_steps import Step, carry_out
from modelops.services.smoke_test import SmokeRequest, SmokeTest
from modelops.worker.groups import group_of, group_resource
from modelops.worker.self_check import chosen_versions, find_problem, package_versions

DIGEST = f"sha256:{'0' * 64}"


def unused() -> ServiceError:
    raise AssertionError("it isn't stuck")


def test_what_is_stuck_is_left_behind_and_named() -> None:
    release = threading.Event()

    def hang() -> str:
        release.wait()
        return ""

    try:
        found = carry_out(Step.PUSH, hang, 0.01, lambda: ServiceError("It hangs.", hint="Free it."))
    finally:
        release.set()
    assert (found.is_ok, found.reason, found.hint) == (False, "It hangs.", "Free it.")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BundleError("gone", hint="look"), "gone"),
        (ContractError("odd"), "odd"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_is_the_reason(error: Exception, reason: str) -> None:
    def fail() -> str:
        raise error

    assert carry_out(Step.RUN, fail, 10, unused).reason == reason


def test_a_fault_of_ours_is_no_failed_step() -> None:
    def fail() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carry_out(Step.RUN, fail, 10, unused)


def test_a_bundle_that_isnt_valid_ends_the_test_before_anything_is_pushed(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        '{"name": "model", "version": "1", "entrypoint": "model:simulate"}'
    )
    (tmp_path / "model.py").write_text("def simulate(params):\n    return {}\n")

    def nothing() -> RegistryAccess:
        raise AssertionError("nothing is asked")

    begun: list[Step] = []
    request = SmokeRequest(registry=nothing, scheduler=lambda: ClusterPlace(""), bundle=tmp_path)
    (found,) = SmokeTest(request).steps(begun.append)
    assert begun == [Step.BUNDLE]
    assert found.step is Step.BUNDLE
    assert "model.py:1: simulate can't be called with two arguments" in found.reason
    assert "def simulate(params, seed)" in found.hint


def test_the_bundle_that_is_made_computes_what_is_expected(tmp_path: Path) -> None:
    made = SmokeBundle.make()
    made.write(tmp_path)
    names: dict[str, object] = {}
    exec((tmp_path / "model.py").read_text(), names)
    simulate = names["simulate"]
    assert callable(simulate)
    result = simulate(made.params, made.seed)
    assert {name: [value] for name, value in result.items()} == made.expected()
    assert SmokeBundle.make().word != made.word


def test_a_registry_elsewhere_is_named_in_the_reference() -> None:
    ref = BundleRef("model", DIGEST)
    own = RegistryAccess("oci://own.example/path", "user", "file")
    assert find_place(lambda: own, None).seen_by_workers(ref) == ref
    # Named in another way, it's the environment's own, with its user.
    assert find_place(lambda: own, "own.example/path/").access is own
    place = find_place(lambda: own, "oci://other.example:5000/team/a")
    assert place.access == RegistryAccess("oci://other.example:5000/team/a")
    assert str(place.seen_by_workers(ref)) == f"oci://other.example:5000/team/a/model@{DIGEST}"


def test_a_registry_elsewhere_needs_no_environment_that_has_one() -> None:
    def none() -> RegistryAccess:
        raise NotThereError("not up")

    assert find_place(none, "oci://other.example").host == "other.example"
    with pytest.raises(NotThereError):
        find_place(none, None)
    with pytest.raises(BundleError, match="can't be told of another folder"):
        find_place(none, "oci-layout:///somewhere")


def test_other_versions_are_told_and_pythons_last_number_doesnt_count() -> None:
    ours = package_versions()
    patch = ours["python"].rpartition(".")[0] + ".99"
    workers = (
        WorkerCheck("a", "tcp://a", "cpu", 2, {**ours, "python": patch}, "oci://host"),
        WorkerCheck("b", "tcp://b", "cpu", 1, {**ours, "distributed": "1.0"}, "oci://host"),
        WorkerCheck("c", "tcp://c", "cpu", 1, problem="It doesn't answer.\nStart it."),
    )
    found = ClusterCheck("tcp://s", {**ours, "python": "3.4.5"}, workers)
    assert found.slots == 4
    checks = {check.name: check for check in connection_checks(found, may_be_empty=False)}
    assert checks["scheduler"].is_ok
    assert checks["versions"].reason == (
        f"the scheduler has python 3.4.5, not {ours['python']} as we have; "
        f"the worker b has distributed 1.0, not {ours['distributed']} as we have"
    )
    assert checks["registry"].reason == "c: It doesn't answer. Start it."
    assert chosen_versions({"python": "3.11.7.final.0"})["python"] == "3.11.7"


def test_what_a_worker_says_of_its_registry(tmp_path: Path) -> None:
    assert "MODELOPS_BUNDLE_REGISTRY" in find_problem("", None)
    assert "MODELOPS_BUNDLE_REGISTRY" in find_problem(f"model@{DIGEST}", None)
    assert "neither a digest nor a tag" in find_problem("model", None)
    layout = RegistryAccess(f"oci-layout://{tmp_path}")
    assert find_problem("", layout) == ""
    assert "There is no bundle" in find_problem(f"model@{DIGEST}", layout)
    assert "no folder" in find_problem("", RegistryAccess(f"oci-layout://{tmp_path}/none"))


def test_a_workers_group_is_read_from_its_resources() -> None:
    assert group_of({"GPU", group_resource("group-of-cpus")}) == "group-of-cpus"
    assert group_of({"GPU"}) == ""
