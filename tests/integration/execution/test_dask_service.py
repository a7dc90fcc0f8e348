"""Simulations on a real Dask cluster."""

import asyncio
import concurrent.futures
import gc
import importlib.util
import socket
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from distributed import Client, LocalCluster

from modelops.bundles.signatures import sign_bundle
from modelops.bundles.signing_keys import SigningKey
from modelops.bundles.stores import open_store
from modelops.contracts import (
    BundleRef,
    ContractError,
    FailureReason,
    Future,
    SimReturn,
    SimStatus,
    SimTask,
    SimulationService,
)
from modelops.core.errors import ServiceError
from modelops.services.dask_simulation import DaskSimulationService, DaskTransport
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.outputs import to_ipc, to_tables

pytestmark = pytest.mark.integration

SECONDS = 50.0

MODEL = """
import math, os, random, sys, time

def simulate(params, seed):
    source = random.Random(seed)
    infected, series = 1.0, []
    for _ in range(20):
        infected *= 1 + params["beta"] * source.random()
        series.append(infected)
    return {"day": list(range(20)), "infected": series, "seed": str(seed)}

def raises(params, seed):
    raise ValueError("beta must be positive")

def returns_nan(params, seed):
    return {"prevalence": math.nan}

def prints(params, seed):
    print("to stdout")
    os.write(1, b"to descriptor 1" * 10_000)
    return {"x": 1}

def exits(params, seed):
    sys.exit(3)

def ends(params, seed):
    os._exit(5)

def sleeps(params, seed):
    time.sleep(600)

def naps(params, seed):
    time.sleep(5)
    return {"x": 1}

def signs(params, seed):
    with open(params["book"], "ab", buffering=0) as book:
        book.write(params["name"].encode())
    time.sleep(0.02)
    return {"x": 1}
"""
TARGETS = """
from modelops.calibration import MetricAlignment, Target

def prevalence():
    return Target(data={"prevalence": [0.1]}, alignment=MetricAlignment("prevalence"))
"""


@pytest.fixture(scope="module")
def cluster(start_cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with start_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def bundle_dir(cluster: Any) -> Path:
    return cluster.write_bundle(MODEL, TARGETS)


@pytest.fixture(scope="module")
def ref(cluster: Any, bundle_dir: Path) -> BundleRef:
    return cluster.push(bundle_dir)


@pytest.fixture
def service(cluster: Any) -> Iterator[DaskSimulationService]:
    with DaskSimulationService(cluster.address) as service:
        yield service


@pytest.fixture(scope="module")
def model(bundle_dir: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("direct_model", bundle_dir / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _failure(outcome: SimReturn) -> tuple[FailureReason, str]:
    assert outcome.status is SimStatus.FAILED
    assert outcome.failure is not None
    return outcome.failure.reason, outcome.failure.message


def test_results_are_those_of_calling_the_model(
    service: SimulationService, ref: BundleRef, model: ModuleType
) -> None:
    inputs = [({"beta": index / 7}, 2**64 - 1 - index) for index in range(30)]

    futures = [service.submit("model:simulate", *given, bundle_ref=ref) for given in inputs]
    outcomes = service.gather(futures)

    direct = [to_tables(model.simulate(*given)) for given in inputs]
    assert [dict(outcome.tables) for outcome in outcomes] == [
        {name: to_ipc(table) for name, table in tables.items()} for tables in direct
    ]
    assert [outcome.task_id for outcome in outcomes] == [
        SimTask(ref, "model:simulate", *given).task_id for given in inputs
    ]


def test_failures_are_told_apart_and_cost_only_themselves(
    service: SimulationService, ref: BundleRef
) -> None:
    functions = ["raises", "exits", "ends", "absent", "prints", "simulate"]
    futures = {
        name: service.submit(f"model:{name}", {"beta": 0.1}, 1, bundle_ref=ref)
        for name in functions
    }
    outcomes = {name: future.result(SECONDS) for name, future in futures.items()}

    assert _failure(outcomes["raises"]) == (
        FailureReason.MODEL,
        "ValueError: beta must be positive",
    )
    assert _failure(outcomes["exits"]) == (FailureReason.MODEL, "the model called sys.exit(3)")
    assert _failure(outcomes["ends"])[0] is FailureReason.CRASH
    assert "exit status 5" in _failure(outcomes["ends"])[1]
    assert _failure(outcomes["absent"])[0] is FailureReason.BUNDLE
    assert outcomes["prints"].status is SimStatus.COMPLETED
    assert outcomes["simulate"].status is SimStatus.COMPLETED


def test_a_simulation_over_its_time_limit_is_given_up(cluster: Any, ref: BundleRef) -> None:
    with DaskSimulationService(cluster.address, task_timeout=0.5) as service:
        outcome = service.submit("model:sleeps", {}, 1, bundle_ref=ref).result(SECONDS)

    assert _failure(outcome) == (FailureReason.TIMEOUT, "it took longer than 0.5 s")


def test_only_signed_code_runs_where_a_signature_is_demanded(cluster: Any, ref: BundleRef) -> None:
    task = ("model:simulate", {"beta": 0.5}, 1)
    key, store = SigningKey.generate(), open_store(cluster.store_url)
    with DaskSimulationService(cluster.address, public_key=key.public) as service:
        # The workers have it unpacked already, for those who demand none.
        refused = service.submit(*task, bundle_ref=ref).result(SECONDS)
        assert _failure(refused)[0] is FailureReason.BUNDLE
        assert "isn't signed" in _failure(refused)[1]
        sign_bundle(store, ref, key)
        taken = service.submit(*task, bundle_ref=ref).result(SECONDS)
        assert taken.status is SimStatus.COMPLETED


def test_only_the_groups_own_workers_take_its_tasks(cluster: Any, ref: BundleRef) -> None:
    task = ("model:simulate", {"beta": 0.5})
    with (
        DaskSimulationService(cluster.address, worker_group="another") as another,
        DaskSimulationService(cluster.address, worker_group="cpu") as own,
    ):
        waiting = another.submit(*task, 1, bundle_ref=ref)
        outcomes = own.gather([own.submit(*task, seed, bundle_ref=ref) for seed in range(20)])
        assert {outcome.status for outcome in outcomes} == {SimStatus.COMPLETED}
        assert not waiting.done()
        assert waiting.cancel()


def test_a_model_that_returns_nan_fails_the_evaluation_by_its_targets_name(
    service: SimulationService, ref: BundleRef, bundle_dir: Path
) -> None:
    outcome = service.submit("model:returns_nan", {}, 1, bundle_ref=ref).result(SECONDS)
    with BundleEvaluator(bundle_dir, {"prevalence": "targets:prevalence"}) as evaluator:
        (evaluation,) = evaluator.evaluate([[outcome.tables]])

    assert outcome.status is SimStatus.COMPLETED
    assert evaluation.failure is not None
    assert "'prevalence'" in evaluation.failure.message


def test_a_bundle_that_is_not_there_is_the_bundles_fault(service: SimulationService) -> None:
    missing = BundleRef("tests/model", f"sha256:{'0' * 64}")

    outcome = service.submit("model:simulate", {}, 1, bundle_ref=missing).result(SECONDS)

    assert _failure(outcome)[0] is FailureReason.BUNDLE


def test_identical_tasks_both_come_back(service: SimulationService, ref: BundleRef) -> None:
    futures = [service.submit("model:simulate", {"beta": 0.5}, 9, bundle_ref=ref) for _ in range(4)]

    outcomes = service.gather(futures)

    assert len({outcome.task_id for outcome in outcomes}) == 1
    assert len({bytes(outcome.tables["output"]) for outcome in outcomes}) == 1


def test_what_waits_here_is_started_as_others_end(
    service: SimulationService, ref: BundleRef
) -> None:
    futures = [
        service.submit("model:simulate", {"beta": 0.1}, seed, bundle_ref=ref) for seed in range(40)
    ]

    assert [outcome.status for outcome in service.gather(futures)] == [SimStatus.COMPLETED] * 40


def test_callbacks_hear_of_the_outcome(service: SimulationService, ref: BundleRef) -> None:
    heard: list[Future] = []
    both = threading.Barrier(2)

    def hear(future: Future) -> None:
        heard.append(future)
        both.wait(SECONDS)

    future = service.submit("model:simulate", {"beta": 0.1}, 1, bundle_ref=ref)
    future.add_done_callback(hear)
    both.wait(SECONDS)

    assert heard == [future]
    assert future.done()
    assert not future.cancel()


def test_a_cancelled_simulation_is_given_up_and_the_others_are_not(
    cluster: Any, ref: BundleRef
) -> None:
    with DaskSimulationService(cluster.address) as service:
        under_way = service.submit("model:naps", {}, 1, bundle_ref=ref)
        other = service.submit("model:simulate", {"beta": 0.1}, 1, bundle_ref=ref)
        waiting = service.submit("model:naps", {}, 2, bundle_ref=ref)
        assert waiting.cancel()
        assert under_way.cancel()

        assert other.result(SECONDS).status is SimStatus.COMPLETED
        for future in (under_way, waiting):
            assert future.done()
            with pytest.raises(concurrent.futures.CancelledError):
                future.result()


def test_closing_cancels_what_is_under_way(cluster: Any, ref: BundleRef) -> None:
    service = DaskSimulationService(cluster.address)
    future = service.submit("model:naps", {}, 1, bundle_ref=ref)

    service.close()
    service.close()

    with pytest.raises(concurrent.futures.CancelledError):
        future.result(SECONDS)
    with pytest.raises(ServiceError, match="closed"):
        service.submit("model:simulate", {"beta": 0.1}, 1, bundle_ref=ref)


def test_delivered_outcomes_are_let_go(service: SimulationService, ref: BundleRef) -> None:
    future = service.submit("model:simulate", {"beta": 0.1}, 1, bundle_ref=ref)
    outcome = weakref.ref(future.result(SECONDS))
    last = service.submit("model:simulate", {"beta": 0.1}, 2, bundle_ref=ref)
    last.result(SECONDS)
    del future
    gc.collect()

    assert outcome() is None


def test_what_was_sent_is_let_go(service: SimulationService, ref: BundleRef) -> None:
    def run(seed: int) -> None:
        params = {"beta": 0.1, "note": "x" * 100_000}
        service.submit("model:simulate", params, seed, bundle_ref=ref).result(SECONDS)

    run(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for seed in range(1, 31):
            run(seed)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 1_000_000


def test_two_runs_share_the_workers(cluster: Any, ref: BundleRef, tmp_path: Path) -> None:
    """However many simulations the first has waiting, the second gets about half from then on."""
    book = tmp_path / "book"
    with (
        DaskSimulationService(cluster.address) as first,
        DaskSimulationService(cluster.address) as second,
    ):
        futures: list[Future] = []
        for service, name, count in ((first, "a", 1_500), (second, "b", 300)):
            params = {"book": str(book), "name": name}
            futures += [
                service.submit("model:signs", params, seed, bundle_ref=ref) for seed in range(count)
            ]
        second.gather(futures[1_500:])
        signed = book.read_text()
        for future in futures:
            future.cancel()

    from_then_on = signed[signed.index("b") :]
    share = from_then_on.count("b") / len(from_then_on)
    assert 0.3 < share < 0.7


def test_a_client_of_the_callers_will_do_and_stays_the_callers(
    cluster: Any, ref: BundleRef
) -> None:
    with Client(cluster.address, set_as_default=False) as client:
        with DaskSimulationService(client) as service:
            future = service.submit("model:simulate", {"beta": 0.1}, 1, bundle_ref=ref)
            assert future.result(SECONDS).status is SimStatus.COMPLETED
        assert client.status == "running"


def test_what_is_no_task_is_refused_at_once(service: SimulationService, ref: BundleRef) -> None:
    with pytest.raises(ContractError):
        service.submit("model:simulate", {"beta": float("nan")}, 1, bundle_ref=ref)
    with pytest.raises(ContractError):
        service.submit("model:simulate", {}, -1, bundle_ref=ref)


def test_a_scheduler_that_is_not_there_is_said() -> None:
    with socket.socket() as silent:
        # Bound, but it doesn't listen.
        silent.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"

        with pytest.raises(ServiceError, match=address):
            DaskSimulationService(address, connect_timeout=0.2)


def test_a_worker_without_the_plugin_is_said(ref: BundleRef) -> None:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as plain,
        DaskSimulationService(plain.scheduler_address) as service,
    ):
        future = service.submit("model:simulate", {}, 1, bundle_ref=ref)

        with pytest.raises(ServiceError, match=r"--preload modelops\.worker\.preload"):
            future.result(SECONDS)


def test_a_short_result_needs_no_fetching_and_stays_nowhere(cluster: Any, ref: BundleRef) -> None:
    with Client(cluster.address, set_as_default=False) as client:
        with DaskSimulationService(client) as service:
            never = _take_all_fetching(service._dispatcher._transport._client)
            asyncio.run_coroutine_threadsafe(never, service._loop).result(SECONDS)
            for seed in range(3):
                future = service.submit("model:simulate", {"beta": 0.1}, seed, bundle_ref=ref)
                assert future.result(SECONDS).status is SimStatus.COMPLETED

        kept = client.get_events()
        assert [topic for topic in kept if topic.startswith("modelops-")] == []


def test_who_gives_up_a_result_that_comes_with_others_takes_none_of_them_along() -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as plain:
        asyncio.run(_give_up_one_of_two(plain.scheduler_address))


async def _give_up_one_of_two(address: str) -> None:
    transport = DaskTransport(
        address,
        worker_group=None,
        security=None,
        connect_timeout=SECONDS,
        reconnect_timeout=SECONDS,
    )
    await transport.open(lambda _number, _late: None)
    client = transport._client
    # The client fetches together what is asked for while it may not begin to.
    allowed = await _take_all_fetching(client)
    try:
        given_up, other = (asyncio.create_task(transport.run(b"")) for _ in range(2))
        while len(client._gather_keys or ()) < 2:  # noqa: ASYNC110 - the client tells of nothing
            await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.wait([given_up])
    finally:
        for _ in range(allowed):
            client._gather_semaphore.release()
    # A worker without our plugin answers whatever the chunk is.
    for running in (other, asyncio.create_task(transport.run(b""))):
        assert b"can't run bundles" in await asyncio.wait_for(running, SECONDS)
    while client.futures:  # noqa: ASYNC110 - as before
        await asyncio.sleep(0.01)
    await transport.close()


async def _take_all_fetching(client: Any) -> int:
    """Have a client fetch no result; return how often to release its semaphore."""
    allowed: int = client._gather_semaphore._value
    for _ in range(allowed):
        await client._gather_semaphore.acquire()
    return allowed
