r"""What gives worker groups of a cluster as many pods as their load needs.

    DASK_SCHEDULER=tls://… python -m modelops.providers.kubernetes.scaler --namespace NS \
        --groups /etc/modelops/scaler/groups.json

The number follows the load as that of a group on one machine does (`worker.scaling`). A Deployment
that shrinks ends any of its pods. So pods that have nothing to do are marked to go first and
retired: they get no more tasks. When they are idle, and none that works would have to go instead,
the Deployment is told to have fewer. The marks are in the cluster: a scaler that starts anew goes
on where the one before it was.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelops.core.errors import ModelOpsError, UsageError
from modelops.core.logs import log_to_stderr
from modelops.core.metrics_server import Health, is_wanted, loop_answers, new_registry, served
from modelops.providers.kubernetes.scaled_pods import ApiAwayError, WorkerPod, pod_api
from modelops.worker.group_load import GroupLoads
from modelops.worker.scaling import Scaling, replicas_to_end

LOOK_SECONDS = 2.0
IDLE_SECONDS = 60.0
"""How long a pod isn't needed before it goes; it takes longer to come than a process does."""

_log = logging.getLogger("modelops.scaler")


class Loads(Protocol):
    """What the scaler asks of the scheduler; `GroupLoads` is one."""

    async def load(self, group: str) -> tuple[int, Mapping[str, int]]:
        """Return how many tasks a group has, and how many each of its workers has."""

    async def retire(self, names: list[str]) -> set[str]:
        """Let workers take no more tasks; return who does so."""


class Pods(Protocol):
    """What it asks of the cluster; `scaled_pods.PodApi` is one."""

    async def replicas(self, deployment: str) -> int:
        """Return how many replicas a Deployment should have."""

    async def scale(self, deployment: str, replicas: int) -> None:
        """Set how many."""

    async def pods(self, group: str) -> list[WorkerPod]:
        """Return a group's pods that aren't ending."""

    async def mark(self, pod: str) -> None:
        """Let a pod be the first to go."""


@dataclass(frozen=True)
class ScaledGroup:
    """A group that is scaled.

    Attributes:
        name: the group.
        deployment: its Deployment.
        minimum: the fewest pods.
        maximum: the most.
        slots: how many tasks a pod runs at a time.
    """

    name: str
    deployment: str
    minimum: int
    maximum: int
    slots: int


def read_groups(path: Path) -> list[ScaledGroup]:
    """Read the file of the groups.

    Raises:
        UsageError: if it isn't one.
    """
    try:
        return [
            ScaledGroup(
                str(item["name"]),
                str(item["deployment"]),
                int(item["min"]),
                int(item["max"]),
                int(item["slots"]),
            )
            for item in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} doesn't say which groups to scale: {error!r}.",
            hint='It\'s a JSON list of {"name", "deployment", "min", "max", "slots"}.',
        ) from error


class GroupScaler:
    """Gives one group the pods that it needs, a step each time that it looks."""

    def __init__(
        self, group: ScaledGroup, loads: Loads, pods: Pods, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._group = group
        self._loads = loads
        self._pods = pods
        self._has_looked = False
        self._scaling = Scaling(group.minimum, group.maximum, group.slots, idle_seconds)

    async def look(self, now: float) -> None:
        """Look at load and pods, and change what is due.

        Args:
            now: seconds, never less than before.

        Raises:
            ApiAwayError: if the cluster's API can't be asked.
            OSError: if the scheduler can't be.
            ServiceError: if it doesn't know loads of groups.
        """
        tasks, running = await self._loads.load(self._group.name)
        replicas = await self._pods.replicas(self._group.deployment)
        pods = await self._pods.pods(self._group.name)
        marked = [pod for pod in pods if pod.is_marked]
        if not self._has_looked:
            # What isn't known to be too much stays for as long as if it were needed now.
            self._scaling.target(now, (replicas - len(marked)) * self._group.slots)
            self._has_looked = True
        # Those that go end what they have, and need nobody to help them.
        needed = tasks - sum(_tasks(pod, running) for pod in marked)
        wanted = self._scaling.target(now, needed)
        # What is too many is about to end, and those that are marked go first.
        staying = max(len(marked) - max(len(pods) - replicas, 0), 0)
        more = min(wanted + staying, self._group.maximum)
        if wanted > replicas - staying and more > replicas:
            await self._scale(replicas, more, tasks)
        elif marked:
            await self._finish(replicas, pods, marked, tasks)
        elif replicas > max(wanted, len(pods)):
            # Pods that aren't there yet come to nothing.
            await self._scale(replicas, max(wanted, len(pods)), tasks)
        elif wanted < replicas and len(pods) == replicas:
            chosen = await self._choose(pods, running, wanted)
            await self._finish(replicas, pods, chosen, tasks)

    async def _choose(
        self, pods: list[WorkerPod], running: Mapping[str, int], wanted: int
    ) -> list[WorkerPod]:
        """Mark pods that have nothing to do, as many as are too many."""
        # Those that work least come last, and go first.
        by_place = {
            (not _workers(pod, running), pod.name): (pod, _workers(pod, running)) for pod in pods
        }
        names = {place: workers for place, (_, workers) in by_place.items()}
        chosen = [by_place[place][0] for place in replicas_to_end(names, running, wanted)]
        for pod in chosen:
            await self._pods.mark(pod.name)
        return chosen

    async def _finish(
        self, replicas: int, pods: list[WorkerPod], going: list[WorkerPod], tasks: int
    ) -> None:
        """Retire pods, and let them go if they are idle and nobody would go in their place."""
        if not going:
            return
        _, running = await self._loads.load(self._group.name)
        registered = sorted(name for pod in going for name in _workers(pod, running))
        if registered and not set(registered) <= await self._loads.retire(registered):
            return
        # What was given to one of them before it had retired shows by now.
        _, running = await self._loads.load(self._group.name)
        gone = {pod.name for pod in going}
        is_idle = not any(_tasks(pod, running) for pod in going)
        # Kubernetes takes pods that aren't ready before those that are marked.
        others_safe = all(
            pod.is_ready or not _tasks(pod, running) for pod in pods if pod.name not in gone
        )
        # With more pods than replicas it's about to end some already.
        if is_idle and others_safe and len(pods) <= replicas:
            least = max(replicas - len(going), self._group.minimum)
            await self._scale(replicas, least, tasks)

    async def _scale(self, replicas: int, wanted: int, tasks: int) -> None:
        if wanted != replicas:
            name = self._group.name
            _log.info("%s has %d tasks: %d pods instead of %d", name, tasks, wanted, replicas)
            await self._pods.scale(self._group.deployment, wanted)


def _workers(pod: WorkerPod, running: Mapping[str, int]) -> list[str]:
    """Return the workers of a pod that have registered."""
    prefix = f"{pod.name}-"
    return [
        name
        for name in running
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal()
    ]


def _tasks(pod: WorkerPod, running: Mapping[str, int]) -> int:
    return sum(running[name] for name in _workers(pod, running))


class Scaler:
    """Looks after all groups, again and again, whoever is away meanwhile."""

    def __init__(self, groups: Sequence[GroupScaler], look_seconds: float = LOOK_SECONDS) -> None:
        self._groups = groups
        self._seconds = look_seconds
        self._problem = "it hasn't looked yet"

    @property
    def problem(self) -> str:
        """Why the groups don't follow their load now, or nothing."""
        return self._problem

    async def run(self, stop: asyncio.Event) -> None:
        """Look until told to stop.

        Raises:
            ServiceError: if the scheduler doesn't know loads of groups.
        """
        now = asyncio.get_running_loop().time
        while not stop.is_set():
            problems = [await self._look(group, now()) for group in self._groups]
            problem = "; ".join(sorted({each for each in problems if each}))
            if problem and problem != self._problem:
                _log.warning("%s", problem)
            elif self._problem and not problem:
                _log.info("the groups follow their load")
            self._problem = problem
            try:
                await asyncio.wait_for(stop.wait(), self._seconds)
            except TimeoutError:
                continue

    async def _look(self, group: GroupScaler, now: float) -> str:
        try:
            await group.look(now)
        except ApiAwayError as error:
            return f"the cluster can't be asked: {error}"
        except OSError as error:
            return f"the scheduler doesn't tell the load: {error}"
        return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Scale groups until a signal ends that; return the exit code."""
    parser = argparse.ArgumentParser(description="Gives worker groups the pods that they need.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--groups", type=Path, required=True, help="the JSON file of the groups")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    parser.add_argument("--kubeconfig", help="of a cluster that this process isn't in")
    options = parser.parse_args(arguments)
    try:
        log_to_stderr()
        scheduler = os.environ.get("DASK_SCHEDULER")
        if not scheduler:
            raise UsageError("The environment lacks DASK_SCHEDULER, the scheduler's address.")
        groups = read_groups(options.groups)
        asyncio.run(
            _follow(groups, scheduler, options.namespace, options.kubeconfig, options.idle_seconds)
        )
    except ModelOpsError as error:
        _log.error("%s", error)
        return error.exit_code
    except ApiAwayError as error:
        # Whoever keeps this process starts it again.
        _log.error("The cluster can't be asked: %s", error)
        return 1
    return 0


async def _follow(
    groups: Sequence[ScaledGroup],
    scheduler: str,
    namespace: str,
    kubeconfig: str | None,
    idle_seconds: float,
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        pod_api(namespace, kubeconfig) as pods,
        GroupLoads(scheduler, role="client") as loads,
    ):
        scaler = Scaler([GroupScaler(group, loads, pods, idle_seconds) for group in groups])
        with ExitStack() as serving:
            if is_wanted():
                health = Health(lambda: loop_answers(loop), lambda: scaler.problem)
                serving.enter_context(served(new_registry(), health))
            await scaler.run(stop)


if __name__ == "__main__":
    sys.exit(main())
