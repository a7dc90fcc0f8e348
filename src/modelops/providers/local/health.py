"""The health of the local provider's parts: is the process or folder there, and does it answer?"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil

from modelops.bundles.access import RegistryAccess
from modelops.contracts import BindingOutputs
from modelops.core.background import start
from modelops.core.errors import SecretError
from modelops.core.process_identity import ProcessIdentity
from modelops.providers.base import Component, ProviderPlan, ResourcePlan, StackView
from modelops.providers.health import PartHealth, PartState, check_parts, no_answer
from modelops.providers.local import plan as types
from modelops.providers.local.plugin import process
from modelops.providers.local.plugin.kinds import kind_of_state
from modelops.providers.probes import (
    bound_value,
    database_address,
    probe_database,
    probe_object_store,
    probe_registry,
)

if TYPE_CHECKING:
    from modelops.services.dask_health import WorkerSeen

_Workers: TypeAlias = "Future[tuple[WorkerSeen, ...]]"
_REGISTRY = "MODELOPS_BUNDLE_REGISTRY"
_OBJECT_STORE = "OBJECT_STORE_URL"
_SCHEDULER = "DASK_SCHEDULER"


def check_stack(plan: ProviderPlan, stack: StackView, seconds: float) -> tuple[PartHealth, ...]:
    """Return the health of each part that the plan has, or that is there without the plan."""
    wanted = () if stack.component is Component.ADAPTIVE else plan.stack(stack.component).resources
    workers = _ask_scheduler(wanted, stack, seconds)
    checks: dict[str, Callable[[], PartHealth]] = {
        resource.name: partial(_check, resource, stack, workers, seconds) for resource in wanted
    }
    processes: set[str] = set()
    for key, outputs in stack.resources.items():
        if _name(key) not in checks:
            checks[key] = partial(_look, key, [outputs])
            processes.update({key} if _is_process(outputs) else ())
    named = {resource.name for resource in wanted} | processes
    # Keys, passwords and the like are worth a line only if something is wrong with them.
    return tuple(
        part for part in check_parts(checks, seconds) if part.part in named or not part.is_well
    )


def _check(
    resource: ResourcePlan, stack: StackView, workers: _Workers | None, seconds: float
) -> PartHealth:
    own = _own(resource.name, stack)
    binding = _binding(resource)
    is_bound = binding in stack.bindings.env or binding in stack.bindings.secrets
    # What somebody else manages has a binding and no resource of ours.
    if not own and not is_bound:
        return PartHealth(resource.name, PartState.GONE, "isn't there yet")
    found = _look(resource.name, own)
    if not found.is_well:
        return found
    try:
        address = (binding and bound_value(stack.bindings, binding)) or ""
    except SecretError as error:
        return replace(found, state=PartState.UNHEALTHY, reason=error.message)
    problem, detail = _ask(resource, stack.bindings, address, workers, seconds)
    if resource.type in types.DATABASES:
        address = database_address(address)
    state = PartState.UNHEALTHY if problem else found.state
    return replace(found, state=state, reason=problem, detail=detail, address=address)


def _ask(
    resource: ResourcePlan,
    bindings: BindingOutputs,
    address: str,
    workers: _Workers | None,
    seconds: float,
) -> tuple[str, str]:
    """Return what is wrong with a part that is there, and what else there is to say of it."""
    if resource.type == types.BUNDLE_REGISTRY:
        return probe_registry(RegistryAccess.from_bindings(bindings)), ""
    if resource.type == types.OBJECT_STORE:
        return probe_object_store(address), ""
    if resource.type in types.DATABASES:
        return probe_database(address, seconds), ""
    if resource.type == types.SCHEDULER and workers is not None:
        return _problem_of_scheduler(workers, seconds), ""
    if resource.type == types.WORKER_GROUP and workers is not None:
        return _count(resource, workers)
    return "", ""


def _look(name: str, resources: Iterable[Mapping[str, Any]]) -> PartHealth:
    """Return whether processes and folders are there; the first that isn't well counts."""
    since, finished = None, False
    for outputs in map(_refreshed, resources):
        since = since or _since(outputs)
        if outputs.get("exists") is False:
            path = str(outputs.get("path", ""))
            return PartHealth(name, PartState.GONE, "isn't there any more", address=path)
        if outputs.get("alive") is False:
            return PartHealth(name, PartState.DEAD, _how_it_ended(outputs), since=since)
        finished = finished or outputs.get("exit_code") == 0
        identity = ProcessIdentity.from_state(dict(outputs))
        stopped = None if identity is None or finished else _stopped(identity)
        if stopped is not None:
            reason = f"its process {stopped.pid} is stopped; go on: kill -CONT {stopped.pid}"
            return PartHealth(name, PartState.UNHEALTHY, reason, since=since)
    return PartHealth(name, PartState.FINISHED if finished else PartState.HEALTHY, since=since)


def _ask_scheduler(
    wanted: Iterable[ResourcePlan], stack: StackView, seconds: float
) -> _Workers | None:
    """Ask once for all who want to know; None if there is no scheduler to ask."""
    scheduler = next((item for item in wanted if item.type == types.SCHEDULER), None)
    address = stack.bindings.env.get(_SCHEDULER)
    if scheduler is None or address is None:
        return None
    # Takes a second to import, which the scheduler shouldn't be blamed for.
    from modelops.services.dask_health import workers_of  # noqa: PLC0415

    def ask() -> tuple[WorkerSeen, ...]:
        found = _look(scheduler.name, _own(scheduler.name, stack))
        if not found.is_well:
            raise ConnectionError(found.reason)
        # Less than all checks have, so that the groups can say why they don't know.
        return workers_of(address, 0.9 * seconds, stack.bindings.env)

    return start(ask)


def _problem_of_scheduler(workers: _Workers, seconds: float) -> str:
    try:
        workers.result()
    except TimeoutError:
        return no_answer(seconds)
    except OSError as error:
        return f"can't be reached: {error}"
    return ""


def _count(resource: ResourcePlan, workers: _Workers) -> tuple[str, str]:
    """Return what is wrong with a group of workers, and how many there are."""
    properties = resource.properties
    least, most = (int(properties[name]) * int(properties["processes"]) for name in ("min", "max"))
    try:
        there = [seen for seen in workers.result() if seen.is_of(properties["group"])]
    except OSError:
        return "its workers can't be counted: the scheduler isn't well", ""
    detail = f"{len(there)} of {least if least == most else f'{least} to {most}'} workers"
    silent = sorted(seen.name for seen in there if seen.is_silent)
    if len(there) < least:
        return f"only {detail} have registered", detail
    return (f"the scheduler hears nothing of {', '.join(silent)}" if silent else ""), detail


def _binding(resource: ResourcePlan) -> str | None:
    """Return the binding that names a part's address."""
    if resource.type in types.DATABASES:
        return str(resource.properties["binding"])
    return {
        types.BUNDLE_REGISTRY: _REGISTRY,
        types.OBJECT_STORE: _OBJECT_STORE,
        types.SCHEDULER: _SCHEDULER,
    }.get(resource.type)


def _own(name: str, stack: StackView) -> list[Mapping[str, Any]]:
    """Return the resources that a part is made of."""
    return [outputs for key, outputs in stack.resources.items() if _name(key) == name]


def _how_it_ended(outputs: Mapping[str, Any]) -> str:
    code = outputs.get("exit_code")
    if code is None:
        return f"its process {outputs.get('pid')} is gone"
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _since(outputs: Mapping[str, Any]) -> datetime.datetime | None:
    started = outputs.get("started")
    return None if started is None else datetime.datetime.fromtimestamp(started, datetime.UTC)


def _refreshed(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a resource's outputs as they are now."""
    kind = kind_of_state(outputs)
    return outputs if kind is None else kind.refreshed(outputs)


def _is_process(outputs: Mapping[str, Any]) -> bool:
    return kind_of_state(outputs) is process


def _stopped(identity: ProcessIdentity) -> psutil.Process | None:
    """Return the process, or the program that it keeps or launched, if that is stopped."""
    found = identity.find()
    if found is None:
        return None
    with suppress(psutil.NoSuchProcess):
        for member in (found, *found.children()):
            with suppress(psutil.NoSuchProcess):
                if member.status() == psutil.STATUS_STOPPED:
                    return member
    return None


def _name(key: str) -> str:
    """Return a resource's name; where kinds share one, the key has the kind before it."""
    return key.rpartition("/")[2]
