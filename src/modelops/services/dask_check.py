"""Asking a Dask cluster what it is, and each of its workers whether it can get bundles."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from distributed.core import rpc

from modelops.contracts import BundleRef
from modelops.core.errors import ServiceError
from modelops.services.cluster_place import ClusterPlace
from modelops.services.dask_connection import client_security, refused
from modelops.services.dask_health import NOT_DASK
from modelops.worker.groups import group_of
from modelops.worker.self_check import OPERATION, PACKAGES, chosen_versions, package_versions

# Whoever asks others needs a moment more than they have.
_OF_THE_REST = 0.8
_UNREACHABLE = "Its scheduler can't connect to it."
_COUNTING = ("dask", "distributed", "modelops")


@dataclass(frozen=True)
class WorkerCheck:
    """One worker, and what it said of itself.

    Attributes:
        name: what its supervisor calls it.
        address: where it listens.
        group: the group of workers that it belongs to; empty if to none.
        slots: how many simulations it runs at a time.
        versions: package → version; empty if it said nothing.
        registry: the URL of its bundle registry.
        problem: why it can't get bundles, for people; empty if it can.
    """

    name: str
    address: str
    group: str
    slots: int
    versions: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "address": self.address,
            "group": self.group,
            "slots": self.slots,
            "versions": dict(self.versions),
            "registry": self.registry,
            "ok": not self.problem,
            "reason": self.problem,
        }


@dataclass(frozen=True)
class ClusterCheck:
    """A scheduler that answered, with its versions and its workers, by name."""

    address: str
    versions: Mapping[str, str]
    workers: tuple[WorkerCheck, ...]

    @property
    def slots(self) -> int:
        """How many simulations run at a time."""
        return sum(worker.slots for worker in self.workers)

    @property
    def unfit(self) -> tuple[WorkerCheck, ...]:
        """The workers that can't get bundles."""
        return tuple(worker for worker in self.workers if worker.problem)

    def other_versions(self) -> tuple[str, ...]:
        """Return who has other versions than this process, a sentence each.

        Of Python's version the last number doesn't count.
        """
        ours = package_versions()
        parts = [("the scheduler", self.versions)]
        parts += [(f"the worker {worker.name}", worker.versions) for worker in self.workers]
        return tuple(
            f"{who} has {package} {versions[package]}, not {ours[package]} as we have"
            for who, versions in parts
            for package in PACKAGES
            if package in versions and _counts(package, versions[package], ours[package])
        )


def check_cluster(
    cluster: ClusterPlace, seconds: float, ref: BundleRef | None = None
) -> ClusterCheck:
    """Ask a scheduler and, through it, each of its workers.

    Args:
        cluster: where the scheduler is.
        seconds: how long all of it may take.
        ref: a bundle that each worker looks for in its registry; without one it asks the registry
            only whether it's there and lets it in.

    Raises:
        ServiceError: if the scheduler can't be reached, doesn't answer or isn't one.
    """
    try:
        return asyncio.run(_check(cluster, seconds, "" if ref is None else str(ref)))
    except TimeoutError as error:
        raise ServiceError(
            f"The Dask scheduler at {cluster.address} doesn't answer within {seconds:.1f} s.",
            hint="See whether it runs and isn't stopped: mops workspace status",
        ) from error
    except OSError as error:
        raise refused(cluster.address, error) from error
    except NOT_DASK as error:
        raise ServiceError(
            f"What listens at {cluster.address} isn't a Dask scheduler: {error}",
            hint="See which address is right: mops workspace outputs",
        ) from error


async def _check(cluster: ClusterPlace, seconds: float, ref: str) -> ClusterCheck:
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    arguments = client_security(cluster.environ).get_connection_args("client")
    connect: Any = rpc
    async with connect(cluster.address, timeout=seconds, connection_args=arguments) as remote:
        async with asyncio.timeout_at(deadline):
            identity = await remote.identity(n_workers=-1)
            versions = await remote.versions(packages=["modelops"])
            left = _OF_THE_REST * (deadline - now())
            known = [_seen(address, worker) for address, worker in identity["workers"].items()]
            asked = await asyncio.gather(*(_ask(remote, worker, left, ref) for worker in known))
            if any(worker.problem == _UNREACHABLE for worker in asked):
                there = (await remote.identity(n_workers=-1))["workers"]
                asked = [worker for worker in asked if worker.address in there]
    workers = tuple(sorted(asked, key=lambda worker: worker.name))
    return ClusterCheck(cluster.address, chosen_versions(versions["packages"]), workers)


async def _ask(remote: Any, worker: WorkerCheck, seconds: float, ref: str) -> WorkerCheck:
    """Ask one worker, through its scheduler: others may have no way to where it listens."""
    message = {"op": OPERATION, "ref": ref, "seconds": _OF_THE_REST * seconds}
    try:
        async with asyncio.timeout(seconds):
            asked = await remote.broadcast(msg=message, workers=[worker.address], on_error="ignore")
    except TimeoutError:
        return replace(worker, problem=f"It doesn't answer within {seconds:.1f} s.")
    if worker.address not in asked:
        return replace(worker, problem=_UNREACHABLE)
    answer = asked[worker.address]
    if answer is None:
        problem = "It can't run bundles: start it with --preload modelops.worker.preload."
        return replace(worker, problem=problem)
    return replace(
        worker,
        versions={name: str(version) for name, version in answer["versions"].items()},
        registry=str(answer["registry"]),
        problem=str(answer["problem"]),
    )


def _seen(address: str, worker: Mapping[str, Any]) -> WorkerCheck:
    group = group_of(worker["resources"])
    return WorkerCheck(str(worker["name"]), address, group, int(worker["nthreads"]))


def _counts(package: str, theirs: str, ours: str) -> bool:
    if package in _COUNTING:
        return theirs != ours
    return theirs.split(".")[:2] != ours.split(".")[:2]
