"""Results that are kept: found again without running the model, and simulated if in doubt."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from integration.execution.local_machine import SECONDS, LocalMachine, failed, values
from modelops.contracts import BundleRef, Execution, FailureReason, RunContext
from modelops.core.errors import ServiceError
from modelops.services.dask_simulation import DaskSimulationService

if TYPE_CHECKING:
    from modelops.contracts import SimReturn
    from modelops.services.chunked import ChunkedService

pytestmark = pytest.mark.integration

MODEL = """
from pathlib import Path

VERSION = 1


def called(params):
    with (Path(params["folder"]) / "calls").open("a") as calls:
        calls.write("called\\n")


def simulate(params, seed):
    called(params)
    return {"x": params["beta"] + seed, "version": VERSION}


def tables(params, seed):
    called(params)
    return {"a": {"x": [1.0, float(seed)]}, "b": {"y": ["text", "ü"]}}


def fails_at_odd_seeds(params, seed):
    called(params)
    if seed % 2:
        raise ValueError("odd")
    return {"x": seed}
"""


class Calls:
    """Runs a function of the model, and counts how often it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"

    @property
    def count(self) -> int:
        file = self.folder / "calls"
        return len(file.read_text().split()) if file.exists() else 0

    def run(
        self,
        service: ChunkedService,
        ref: BundleRef,
        function: str = "simulate",
        beta: float = 0.5,
        seeds: range = range(20),
    ) -> list[SimReturn]:
        params = {"folder": str(self.folder), "beta": beta}
        futures = [
            service.submit(f"model:{function}", params, seed, bundle_ref=ref) for seed in seeds
        ]
        return [future.result(SECONDS) for future in futures]

    def segments(self) -> list[Path]:
        return sorted(self.store.rglob("*.seg"))


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


@pytest.fixture
def ref(local: LocalMachine) -> BundleRef:
    return local.push(MODEL)


def run_anew(local: LocalMachine, calls: Calls, ref: BundleRef, **options: Any) -> list[SimReturn]:
    """Run in a service that is made for it."""
    with local.service(object_store_url=str(calls.store)) as service:
        return calls.run(service, ref, **options)


@pytest.mark.parametrize("function", ["simulate", "tables"])
def test_another_service_finds_what_one_has_run(
    local: LocalMachine, calls: Calls, ref: BundleRef, function: str
) -> None:
    first = run_anew(local, calls, ref, function=function)
    assert calls.count == 20

    with local.service(object_store_url=str(calls.store)) as service:
        service.on_start(RunContext("another", {}))
        again = calls.run(service, ref, function)
        # A mix of what is there and what isn't.
        more = calls.run(service, ref, function, seeds=range(15, 30))

    assert calls.count == 30
    assert [outcome.task_id for outcome in again] == [outcome.task_id for outcome in first]
    assert [dict(outcome.tables) for outcome in again] == [dict(each.tables) for each in first]
    assert [dict(outcome.tables) for outcome in more[:5]] == [
        dict(each.tables) for each in first[15:]
    ]


def test_only_the_same_is_found(local: LocalMachine, calls: Calls, ref: BundleRef) -> None:
    other = local.push(MODEL.replace("VERSION = 1", "VERSION = 2"))
    run_anew(local, calls, ref)
    assert calls.count == 20

    with local.service(object_store_url=str(calls.store)) as service:
        # In a service that finds some of what it's asked for.
        assert [values(each)["x"] for each in calls.run(service, ref)][:2] == [0.5, 1.5]
        assert calls.count == 20
        calls.run(service, ref, seeds=range(20, 30))
        assert calls.count == 30
        assert values(calls.run(service, ref, beta=0.25)[0])["x"] == 0.25
        assert calls.count == 50
        calls.run(service, ref, "fails_at_odd_seeds")
        assert calls.count == 70
        assert values(calls.run(service, other)[0])["version"] == 2
        assert calls.count == 90


def test_what_failed_is_run_again_and_what_is_beside_it_is_not(
    local: LocalMachine, calls: Calls, ref: BundleRef
) -> None:
    for count in (20, 30):
        outcomes = run_anew(local, calls, ref, function="fails_at_odd_seeds")

        assert [values(each)["x"] for each in outcomes[::2]] == list(range(0, 20, 2))
        assert {failed(each)[:2] for each in outcomes[1::2]} == {
            (FailureReason.MODEL, "ValueError: odd")
        }
        assert calls.count == count


def test_results_are_kept_under_the_name_of_their_run(
    local: LocalMachine, calls: Calls, ref: BundleRef
) -> None:
    with local.service(object_store_url=str(calls.store)) as service:
        for run_id in ("one", "two"):
            service.on_start(RunContext(run_id, {}))
            calls.run(service, ref, seeds=range(5) if run_id == "one" else range(10))

    assert {path.parent.name for path in calls.segments()} == {"one", "two"}
    assert calls.count == 10


def damage(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 60, -1], ids=["beginning", "ids", "answer"])
def test_a_damaged_segment_is_simulated_again(
    local: LocalMachine,
    calls: Calls,
    ref: BundleRef,
    caplog: pytest.LogCaptureFixture,
    at: int,
) -> None:
    first = run_anew(local, calls, ref)
    for path in calls.segments():
        damage(path, at)

    with caplog.at_level(logging.WARNING, "modelops"):
        again = run_anew(local, calls, ref)

    assert calls.count == 40
    assert [values(each) for each in again] == [values(each) for each in first]
    assert "is damaged" in caplog.text
    caplog.clear()
    # Whatever was damaged doesn't keep the others from being found.
    assert [values(each) for each in run_anew(local, calls, ref)] == [
        values(each) for each in first
    ]
    assert calls.count == 40


def test_a_store_that_cannot_be_listed_is_said(
    local: LocalMachine, calls: Calls, ref: BundleRef
) -> None:
    calls.store.symlink_to(calls.store)

    with local.service(object_store_url=str(calls.store)) as service:
        for _ in range(2):
            with pytest.raises(ServiceError, match="can't be listed: Too many levels") as caught:
                calls.run(service, ref)
            assert str(calls.store) in caught.value.message
        # It may be mended meanwhile.
        calls.store.unlink()
        assert values(calls.run(service, ref)[0])["x"] == 0.5


def test_a_store_that_cannot_be_written_costs_no_result(
    local: LocalMachine, calls: Calls, ref: BundleRef, caplog: pytest.LogCaptureFixture
) -> None:
    calls.store.write_text("in the way")

    with (
        caplog.at_level(logging.WARNING, "modelops.services"),
        local.service(object_store_url=str(calls.store)) as service,
    ):
        for seeds in (range(20), range(20, 40)):
            assert [values(each)["x"] for each in calls.run(service, ref, seeds=seeds)] == [
                seed + 0.5 for seed in seeds
            ]

    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("Results aren't stored: ")
    assert str(calls.store) in told[0]


def test_a_run_may_keep_nothing(local: LocalMachine, calls: Calls, ref: BundleRef) -> None:
    run_anew(local, calls, ref)
    kept = calls.segments()
    execution = Execution(keep_outputs=False)

    with local.service(object_store_url=str(calls.store), execution=execution) as service:
        calls.run(service, ref, seeds=range(30))

    # Nor does it look for what others have kept.
    assert calls.count == 50
    assert calls.segments() == kept


def test_a_bundle_that_cannot_be_run_is_said_as_without_a_store(
    local: LocalMachine, calls: Calls
) -> None:
    missing = BundleRef("tests/model", f"sha256:{'0' * 64}")
    broken = local.push("raise RuntimeError('not today')\n")

    for ref in (missing, broken):
        outcomes = run_anew(local, calls, ref, seeds=range(5))
        assert {failed(each)[0] for each in outcomes} == {FailureReason.BUNDLE}
    assert "not today" in failed(outcomes[0])[1]


def test_closing_ends_what_is_looked_for(local: LocalMachine, calls: Calls, ref: BundleRef) -> None:
    service = local.service(object_store_url=str(calls.store))
    params = {"folder": str(calls.folder), "beta": 0.5}
    futures = [
        service.submit("model:simulate", params, seed, bundle_ref=ref) for seed in range(100)
    ]
    service.close()

    assert all(future.done() for future in futures)


@pytest.mark.timeout(120)
def test_the_workers_of_a_cluster_keep_results_that_its_clients_find(
    start_cluster: Any, local: LocalMachine, calls: Calls
) -> None:
    with start_cluster(calls.folder, workers=1) as cluster:
        ref = cluster.push(cluster.write_bundle(MODEL))
        contents = []
        for run_id in ("one", "two"):
            with DaskSimulationService(
                cluster.address, object_store_url=calls.store.as_uri()
            ) as service:
                service.on_start(RunContext(run_id, {}))
                outcomes = calls.run(service, ref, "tables")
                contents.append([dict(outcome.tables) for outcome in outcomes])
                assert calls.count == 20

    assert contents[0] == contents[1]
    assert {path.parent.name for path in calls.segments()} == {"one"}


def test_what_is_stored_needs_no_process(local: LocalMachine, calls: Calls) -> None:
    # Others may have started what stays for the session, as a database.
    before = set(psutil.Process().children())
    ref = local.push(MODEL)
    with local.service(object_store_url=calls.store.as_uri()) as service:
        calls.run(service, ref)
    with local.service(object_store_url=calls.store.as_uri()) as service:
        calls.run(service, ref)
        # The server that copies are made of is started ahead; it has no copy.
        servers = set(psutil.Process().children()) - before
        assert servers
        assert [copy for server in servers for copy in server.children()] == []
    assert calls.count == 20
