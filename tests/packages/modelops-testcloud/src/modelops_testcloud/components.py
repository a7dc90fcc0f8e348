"""What a stack of testcloud is made of, inside its Pulumi program."""

import json
import sys
from functools import reduce
from typing import Any
from urllib.parse import urlsplit

import pulumi

from modelops.contracts import Address, BindingOutputs
from modelops.core.errors import ProviderError
from modelops.providers.base import ResourcePlan, StackPlan
from modelops.providers.local.components.resources import Directory, Process
from modelops.services.dask_settings import WORKER_ENV, supervisor_command
from modelops_testcloud import plan

Bindings = pulumi.Output[BindingOutputs]


def declare_stack(stack: StackPlan, upstream: BindingOutputs) -> Bindings:
    """Declare the stack's resources in order; each sees what those before it handed on."""
    known: Bindings = pulumi.Output.from_input(upstream)
    own: Bindings = pulumi.Output.from_input(BindingOutputs())
    for resource in stack.resources:
        made = _DECLARE[resource.type](resource, known)
        known, own = _merged(known, made), _merged(own, made)
    return own


def _folder(resource: ResourcePlan, _known: Bindings) -> Bindings:
    properties = resource.properties
    made = Directory(resource.name, path=properties["path"])
    return made.path.apply(lambda _: BindingOutputs({properties["binding"]: properties["url"]}))


def _scheduler(resource: ResourcePlan, _known: Bindings) -> Bindings:
    url = urlsplit(resource.properties["address"])
    address = Address(str(url.hostname), int(url.port or 0), url.scheme)
    bindings = BindingOutputs({"DASK_SCHEDULER": str(address)}, addresses={"scheduler": address})
    return pulumi.Output.from_input(bindings)


def _workers(resource: ResourcePlan, known: Bindings) -> Bindings:
    properties = resource.properties
    needed = _needed(resource, known)
    Process(
        resource.name,
        command=supervisor_command(
            properties["group"],
            properties["replicas"],
            properties["replicas"],
            processes=properties["processes"],
            threads=properties["threads"],
            directory="{dir}",
            ready_file="{ready}",
        ),
        env={**WORKER_ENV, **needed, "MODELOPS_HOME": f"{properties['place']}/cache"},
        ready="file",
        **_places(resource),
    )
    return pulumi.Output.from_input(BindingOutputs())


def _run(resource: ResourcePlan, known: Bindings) -> Bindings:
    properties = resource.properties
    env = _needed(resource, known)
    # A run knows its own database as DATABASE_URL, whichever of the spec's it is bound to.
    env["DATABASE_URL"] = env.pop(properties["database"])
    Process(
        resource.name,
        command=[
            *(sys.executable, "-m", "modelops.runner.main"),
            *("--run", "{dir}/run.json", "--ready-file", "{ready}"),
        ],
        env={**env, "MODELOPS_HOME": f"{properties['place']}/cache"},
        files={"run.json": json.dumps(properties["request"], sort_keys=True)},
        kind="job",
        ready="file",
        **_places(resource),
    )
    return pulumi.Output.all(**env).apply(BindingOutputs)


_DECLARE = {
    plan.FOLDER: _folder,
    plan.SCHEDULER: _scheduler,
    plan.WORKERS: _workers,
    plan.RUN: _run,
}


def _places(resource: ResourcePlan) -> dict[str, Any]:
    place = resource.properties["place"]
    return {"root": f"{place}/processes", "log": f"{place}/logs/{resource.name}.log"}


def _needed(resource: ResourcePlan, known: Bindings) -> dict[str, pulumi.Output[str]]:
    def one(name: str) -> pulumi.Output[str]:
        return known.apply(lambda bindings: _value(bindings, name))

    return {name: one(name) for name in resource.needs}


def _value(bindings: BindingOutputs, name: str) -> str:
    if name not in bindings.env:
        raise ProviderError(f"Nothing handed on {name}.", hint="Bring all stacks up: mops up")
    return bindings.env[name]


def _merged(first: Bindings, second: Bindings) -> Bindings:
    return pulumi.Output.all(first, second).apply(lambda both: reduce(BindingOutputs.merged, both))
