"""The Dask cluster: a scheduler, and a supervisor for each group of workers."""

import sys

import pulumi

from modelops.contracts import Address, BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.local.components.bindings import Bindings, needed_env
from modelops.providers.local.components.resources import Process
from modelops.providers.local.plugin.ports import LOOPBACK
from modelops.services.dask_settings import SCHEDULER_ENV, WORKER_ENV


class Scheduler(pulumi.ComponentResource):
    """The Dask scheduler, bound to loopback, at a port that it keeps."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        process = Process(
            plan.name,
            command=[
                *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
                *("--host", LOOPBACK, "--port", "{port:scheduler}", "--no-dashboard"),
                # Without a dashboard Dask still serves its metrics, and on every address.
                *("--dashboard-address", f"{LOOPBACK}:0"),
            ],
            root=plan.properties["root"],
            log=plan.properties["log"],
            env=SCHEDULER_ENV,
            port_names=["scheduler"],
            ready="port:scheduler",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.bindings = process.port("scheduler").apply(_scheduler_bindings)
        self.register_outputs({})


class WorkerGroup(pulumi.ComponentResource):
    """A supervisor that keeps the group's worker processes and restarts those that die."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        needed = needed_env(plan, known)
        Process(
            plan.name,
            command=[
                *(sys.executable, "-m", "modelops.worker.supervisor"),
                *("--scheduler", needed["DASK_SCHEDULER"], "--name", properties["group"]),
                *("--min", str(properties["min"]), "--max", str(properties["max"])),
                *("--processes", str(properties["processes"])),
                *("--threads", str(properties["threads"])),
                *("--local-directory", "{dir}", "--ready-file", "{ready}"),
            ],
            root=properties["root"],
            log=properties["log"],
            env={**WORKER_ENV, **needed, "MODELOPS_HOME": properties["home"]},
            ready="file",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})


def _scheduler_bindings(port: int) -> BindingOutputs:
    address = Address(LOOPBACK, port, "tcp")
    return BindingOutputs(
        env={"DASK_SCHEDULER": str(address)}, addresses={"dask-scheduler": address}
    )
