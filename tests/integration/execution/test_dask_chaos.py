"""Workers and their children are killed at random moments of many simulations; all come back."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from integration.execution.conftest import SECONDS, Cluster
from modelops.contracts import BundleRef, Future, SimReturn, SimStatus
from modelops.services.dask_simulation import DaskSimulationService

pytestmark = pytest.mark.integration

StartCluster = Callable[..., AbstractContextManager[Cluster]]

FEW, MANY = 1_500, 5_000
"""How many simulations an ordinary run has, and one of `make chaos`."""
SIMULATIONS_A_KILL = 300

MODEL = """
import random, time

def simulate(params, seed):
    chance = random.Random(seed)
    print("simulating", seed)
    time.sleep(0.005 * chance.random() ** 2)
    return {"x": [chance.random() for _ in range(50)], "beta": params["beta"], "seed": str(seed)}
"""


@dataclass(frozen=True)
class Kill:
    """One process is killed once so many simulations have ended: a worker, or what it started."""

    after: int
    is_worker: bool


class Ended:
    """Counts how often each future says that it's done."""

    def __init__(self) -> None:
        self.times: Counter[int] = Counter()
        self._grew = threading.Condition()

    def follow(self, number: int, future: Future) -> None:
        """Count the calls of a future's callback."""

        def note(_: Future) -> None:
            with self._grew:
                self.times[number] += 1
                self._grew.notify_all()

        future.add_done_callback(note)

    def wait_for(self, count: int) -> None:
        """Wait until so many have ended."""
        with self._grew:
            assert self._grew.wait_for(lambda: self.times.total() >= count, SECONDS)


@pytest.fixture(scope="module")
def expected(
    start_cluster: StartCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], list[SimReturn]]]:
    """The outcomes of so many simulations that nothing disturbs."""
    with (
        start_cluster(tmp_path_factory.mktemp("undisturbed"), workers=2) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        outcomes: list[SimReturn] = []

        def first(count: int) -> list[SimReturn]:
            more = [submit(service, ref, number) for number in range(len(outcomes), count)]
            outcomes.extend(service.gather(more))
            return outcomes[:count]

        yield first


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("seed", "count"),
    [
        *((seed, FEW) for seed in (1, 2)),
        *(pytest.param(seed, MANY, marks=pytest.mark.chaos) for seed in range(3, 15)),
    ],
)
def test_every_result_comes_once_and_is_the_same(
    start_cluster: StartCluster,
    expected: Callable[[int], list[SimReturn]],
    tmp_path: Path,
    seed: int,
    count: int,
) -> None:
    undisturbed = expected(count)
    chance = random.Random(seed)
    ended = Ended()
    with (
        start_cluster(tmp_path, workers=2) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        futures = [submit(service, ref, number) for number in range(count)]
        for number, future in enumerate(futures):
            ended.follow(number, future)
        for kill in kills(chance, count):
            ended.wait_for(kill.after)
            kill_one(cluster, chance, kill)
        outcomes = [future.result(SECONDS) for future in futures]
        ended.wait_for(count)
        # Whatever a worker that was lost still had to say would have been said by now.
        service.gather([submit(service, ref, number) for number in range(count, count + 20)])
    assert {outcome.status for outcome in undisturbed} == {SimStatus.COMPLETED}
    assert [outcome.failure for outcome in outcomes] == [None] * count
    for one, other in zip(outcomes, undisturbed, strict=True):
        assert (one.task_id, one.tables) == (other.task_id, other.tables)
        assert one.log == other.log
    assert ended.times == dict.fromkeys(range(count), 1)


def submit(service: DaskSimulationService, ref: BundleRef, number: int) -> Future:
    return service.submit("model:simulate", {"beta": number / 3}, number, bundle_ref=ref)


def kills(chance: random.Random, count: int) -> Iterator[Kill]:
    """Yield moments in order, with a gap: three deaths in one simulation would be its failure."""
    for start in range(0, count, SIMULATIONS_A_KILL):
        yield Kill(start + chance.randrange(SIMULATIONS_A_KILL // 2), chance.random() < 0.4)


def kill_one(cluster: Cluster, chance: random.Random, kill: Kill) -> None:
    """Kill a worker, or any process that one of them started; wait until there is one."""
    waiting = threading.Event()
    for _ in range(round(SECONDS / 0.05)):
        workers = cluster.workers()
        try:
            victims = [
                process
                for worker in workers
                for process in ([worker] if kill.is_worker else worker.children(recursive=True))
            ]
            if victims:
                chance.choice(victims).kill()
                return
        except psutil.NoSuchProcess:
            # It ended between the look and the blow.
            continue
        waiting.wait(0.05)
    pytest.fail(f"nothing to kill: {kill}")
