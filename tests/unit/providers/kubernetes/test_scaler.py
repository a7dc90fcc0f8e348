"""The scaler against a scheduler and a cluster of the test's own, a step at a time."""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from modelops.core.errors import UsageError
from modelops.providers.kubernetes.scaled_pods import ApiAwayError, WorkerPod
from modelops.providers.kubernetes.scaler import (
    GroupScaler,
    ScaledGroup,
    Scaler,
    main,
    read_groups,
)

GROUP = ScaledGroup("cpu", "dask-workers", minimum=0, maximum=4, slots=2)


class World:
    """A Deployment with pods that come and go as Kubernetes would have it, and a scheduler."""

    def __init__(self, group: ScaledGroup = GROUP) -> None:
        self.group = group
        self.wanted = group.minimum
        self.there: dict[str, WorkerPod] = {}
        self.tasks: dict[str, int] = {}
        self.waiting = 0
        self.retired: set[str] = set()
        self.ended: list[tuple[str, int]] = []
        self.number = 0
        self.is_scheduler_away = self.is_api_away = False
        self.settle()

    def settle(self, *, registered: bool = True) -> None:
        """Do what the controllers of a cluster do."""
        while len(self.there) < self.wanted:
            name = f"dask-workers-{self.number}"
            self.number += 1
            self.there[name] = WorkerPod(name, is_ready=registered, is_marked=False)
            if registered:
                self.tasks[f"{name}-0"] = 0
        order = sorted(self.there.values(), key=lambda pod: (pod.is_ready, not pod.is_marked))
        for pod in order[: max(len(self.there) - self.wanted, 0)]:
            del self.there[pod.name]
            self.ended.append((pod.name, self.tasks.pop(f"{pod.name}-0", 0)))

    def spread(self) -> None:
        """Hand out what waits, as a scheduler does."""
        for name in self.tasks:
            if name not in self.retired:
                taken = min(self.waiting, self.group.slots - self.tasks[name])
                self.tasks[name] += taken
                self.waiting -= taken

    # What a scaler asks of the scheduler.
    async def load(self, group: str) -> tuple[int, Mapping[str, int]]:
        assert group == self.group.name
        if self.is_scheduler_away:
            raise ConnectionRefusedError("nobody is there")
        return self.waiting + sum(self.tasks.values()), dict(self.tasks)

    async def retire(self, names: list[str]) -> set[str]:
        self.retired.update(names)
        return set(names)

    # What it asks of the cluster.
    async def replicas(self, deployment: str) -> int:
        assert deployment == self.group.deployment
        if self.is_api_away:
            raise ApiAwayError("nobody is there")
        return self.wanted

    async def scale(self, deployment: str, replicas: int) -> None:
        assert deployment == self.group.deployment
        self.wanted = replicas

    async def pods(self, group: str) -> list[WorkerPod]:
        assert group == self.group.name
        return list(self.there.values())

    async def mark(self, pod: str) -> None:
        self.there[pod] = replace(self.there[pod], is_marked=True)


class Clock:
    """Looks of a scaler, a second apart or more."""

    def __init__(self, world: World, idle_seconds: float = 10.0) -> None:
        self.scaler = GroupScaler(world.group, world, world, idle_seconds)
        self.now = 0.0

    def look(self, after: float = 1.0) -> None:
        self.now += after
        asyncio.run(self.scaler.look(self.now))


@pytest.fixture
def world() -> World:
    return World()


def test_from_nothing_to_what_is_needed_and_back(world: World) -> None:
    clock = Clock(world)
    clock.look()
    assert world.wanted == 0
    world.waiting = 5
    clock.look()
    assert world.wanted == 3
    world.settle()
    world.spread()
    clock.look()
    assert world.wanted == 3
    world.tasks = dict.fromkeys(world.tasks, 0)
    clock.look(9.0)
    assert world.wanted == 3
    clock.look(11.0)
    assert world.wanted == 0
    world.settle()
    assert sorted(world.ended) == [(f"dask-workers-{number}", 0) for number in range(3)]


def test_no_more_than_there_may_be(world: World) -> None:
    world.waiting = 1000
    Clock(world).look()
    assert world.wanted == 4


def test_idle_pods_go_and_the_busy_one_stays(world: World) -> None:
    world.wanted = 3
    world.settle()
    world.tasks["dask-workers-1-0"] = 1
    clock = Clock(world)
    clock.look()
    clock.look(11.0)
    world.settle()
    assert list(world.there) == ["dask-workers-1"]
    assert world.retired == {"dask-workers-0-0", "dask-workers-2-0"}
    assert {tasks for _, tasks in world.ended} == {0}


def test_a_pod_that_got_work_in_the_last_moment_is_awaited(world: World) -> None:
    world.wanted = 1
    world.settle()
    clock = Clock(world)
    real = world.retire

    async def retire(names: list[str]) -> set[str]:
        world.tasks["dask-workers-0-0"] = 1
        world.retire = real
        return await real(names)

    world.retire = retire
    clock.look()
    clock.look(11.0)
    assert world.there["dask-workers-0"].is_marked
    assert world.wanted == 1
    world.tasks["dask-workers-0-0"] = 0
    clock.look(11.0)
    assert world.wanted == 0


def test_new_load_gets_new_pods_beside_those_that_go(world: World) -> None:
    world.wanted = 2
    world.settle()
    world.retired.add("dask-workers-0-0")
    asyncio.run(world.mark("dask-workers-0"))
    world.tasks["dask-workers-0-0"] = 1
    world.waiting = 5
    clock = Clock(world)
    clock.look()
    # Three that work, and the one that ends what it has.
    assert world.wanted == 4
    world.settle()
    world.tasks["dask-workers-0-0"] = 0
    clock.look()
    world.settle()
    assert "dask-workers-0" not in world.there
    assert len(world.there) == 3


def test_a_scaler_that_starts_anew_ends_nothing_at_once(world: World) -> None:
    world.wanted = 2
    world.settle()
    clock = Clock(world)
    clock.look()
    clock.look(9.0)
    assert world.wanted == 2
    assert not any(pod.is_marked for pod in world.there.values())


def test_a_scaler_that_starts_anew_goes_on_with_what_is_marked(world: World) -> None:
    world.wanted = 2
    world.settle()
    asyncio.run(world.mark("dask-workers-0"))
    world.tasks["dask-workers-1-0"] = 2
    Clock(world).look()
    world.settle()
    assert list(world.there) == ["dask-workers-1"]
    assert world.retired == {"dask-workers-0-0"}


def test_pods_that_still_go_count_among_the_most_that_there_may_be(world: World) -> None:
    world.wanted = 2
    world.settle()
    asyncio.run(world.mark("dask-workers-0"))
    world.tasks["dask-workers-0-0"] = 1
    world.waiting = 1000
    clock = Clock(world)
    clock.look()
    assert world.wanted == world.group.maximum == 4
    world.settle()
    clock.look()
    assert world.wanted == 4
    # It has ended what it had: another comes in its place.
    world.tasks["dask-workers-0-0"] = 0
    clock.look()
    world.settle()
    clock.look()
    world.settle()
    assert len(world.there) == 4
    assert "dask-workers-0" not in world.there


def test_nobody_goes_while_a_busy_pod_would_go_first(world: World) -> None:
    world.wanted = 2
    world.settle()
    # One of its workers is being started anew: the pod isn't ready, and works.
    world.there["dask-workers-0"] = WorkerPod("dask-workers-0", is_ready=False, is_marked=False)
    world.tasks["dask-workers-0-0"] = 1
    clock = Clock(world)
    clock.look()
    clock.look(11.0)
    assert world.wanted == 2
    world.there["dask-workers-0"] = WorkerPod("dask-workers-0", is_ready=True, is_marked=False)
    clock.look()
    clock.look()
    world.settle()
    assert list(world.there) == ["dask-workers-0"]


def test_pods_that_do_not_come_are_given_up_without_marking_others(world: World) -> None:
    world.wanted = 1
    world.settle()
    world.tasks["dask-workers-0-0"] = 2
    world.wanted = 4
    clock = Clock(world)
    clock.look()
    clock.look(11.0)
    assert world.wanted == 1
    assert not world.there["dask-workers-0"].is_marked


@pytest.mark.parametrize("seed", range(30))
def test_a_busy_pod_never_ends_while_an_idle_one_is_there(seed: int) -> None:
    chance = random.Random(seed)
    group = replace(GROUP, minimum=chance.choice([0, 1]), maximum=6, slots=chance.choice([1, 2]))
    world = World(group)
    clock = Clock(world, idle_seconds=3.0)
    for _ in range(200):
        if chance.random() < 0.1:
            world.waiting += chance.randrange(20)
        world.spread()
        for name in world.tasks:
            if world.tasks[name] and chance.random() < 0.4:
                world.tasks[name] -= 1
        clock.look()
        if chance.random() < 0.3:
            # Controllers may be slow.
            continue
        before = len(world.ended)
        idle = {name.rpartition("-")[0] for name, tasks in world.tasks.items() if not tasks}
        world.settle()
        ended = world.ended[before:]
        assert not [name for name, tasks in ended if tasks], (ended, idle)
        assert group.minimum <= world.wanted
    world.waiting = 0
    world.tasks = dict.fromkeys(world.tasks, 0)
    for _ in range(10):
        clock.look()
        world.settle()
    assert len(world.there) == group.minimum


def test_a_scheduler_or_an_api_that_is_away_is_waited_for(world: World) -> None:
    scaler = Scaler([GroupScaler(GROUP, world, world)], look_seconds=0.001)

    async def follow() -> None:
        async def until(text: str) -> None:
            while text not in scaler.problem or (not text and scaler.problem):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        stop = asyncio.Event()
        running = asyncio.create_task(scaler.run(stop))
        await until("")
        world.is_scheduler_away = True
        await until("the scheduler doesn't tell the load: nobody is there")
        world.is_scheduler_away, world.is_api_away = False, True
        await until("the cluster can't be asked: nobody is there")
        world.is_api_away, world.waiting = False, 3
        while world.wanted != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await until("")
        stop.set()
        await running

    asyncio.run(follow())


def test_the_groups_file(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    item = {"name": "cpu", "deployment": "dask-workers", "min": 0, "max": 4, "slots": 2}
    path.write_text(json.dumps([item]))
    assert read_groups(path) == [GROUP]
    path.write_text(json.dumps([{"name": "cpu"}]))
    with pytest.raises(UsageError, match="which groups"):
        read_groups(path)


def test_without_a_scheduler_there_is_nothing_to_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASK_SCHEDULER", raising=False)
    assert main(["--namespace", "x", "--groups", str(tmp_path / "none")]) == 2
