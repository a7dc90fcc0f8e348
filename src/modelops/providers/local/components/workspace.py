"""The Dask cluster: a CA, a scheduler, and a supervisor for each group of workers."""

import pulumi

from modelops.contracts import Address, BindingOutputs
from modelops.core import secret_files
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings, needed
from modelops.providers.local.components.resources import Certificate, Process
from modelops.providers.local.plugin.ports import LOOPBACK
from modelops.providers.needs import CERTIFICATE_BINDING
from modelops.services.dask_settings import (
    SCHEDULER_ENV,
    WORKER_ENV,
    scheduler_command,
    supervisor_command,
    tls_env,
)

# A certificate is issued anew by an `up` in the last third of its days.
_AUTHORITY_DAYS = 3650
_CERTIFICATE_DAYS = 1095


class Scheduler(pulumi.ComponentResource):
    """The Dask scheduler, bound to loopback, at a port that it keeps; and who may talk to it."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        below = pulumi.ResourceOptions(parent=self)
        authority = Certificate(
            "workspace-ca",
            directory=properties["authority"],
            common_name="ModelOps workspace CA",
            days=_AUTHORITY_DAYS,
            opts=below,
        )
        certificate = Certificate(
            "dask-certificate",
            directory=properties["certificate"],
            common_name="ModelOps Dask",
            days=_CERTIFICATE_DAYS,
            hosts=[LOOPBACK, "localhost"],
            issuer=authority,
            opts=below,
        )
        fingerprint = certificate.fingerprint.apply(lambda value: {CERTIFICATE_BINDING: value})
        folder = properties["certificate"]
        given = {
            **SCHEDULER_ENV,
            **tls_env(folder, "scheduler"),
            # Dask would leave files in /tmp.
            "DASK_TEMPORARY_DIRECTORY": "{dir}",
        }
        process = Process(
            plan.name,
            command=scheduler_command("{port:scheduler}"),
            root=properties["root"],
            log=properties["log"],
            env=fingerprint.apply(lambda variables: {**given, **variables}),
            port_names=["scheduler"],
            restart=True,
            ready="port:scheduler",
            opts=below,
        )
        self.bindings = pulumi.Output.all(process.port("scheduler"), fingerprint).apply(
            lambda known: _scheduler_bindings(known[0], {**tls_env(folder, "client"), **known[1]})
        )
        self.register_outputs({})


class WorkerGroup(pulumi.ComponentResource):
    """A supervisor that keeps the group's worker processes and restarts those that die."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        given = {
            **WORKER_ENV,
            **tls_env(properties["certificate"], "worker"),
            "MODELOPS_HOME": properties["home"],
            secret_files.STORED_VARIABLE: properties["secrets"],
        }
        Process(
            plan.name,
            command=supervisor_command(
                properties["group"],
                properties["min"],
                properties["max"],
                processes=properties["processes"],
                threads=properties["threads"],
                directory="{dir}",
                ready_file="{ready}",
                idle_seconds=properties.get("idle_seconds"),
            ),
            root=properties["root"],
            log=properties["log"],
            # A secret X is the variable X_FILE with its file's path.
            env=needed(plan, known).apply(
                lambda bindings: {**secret_files.variables(bindings), **given}
            ),
            inherit=properties["inherit"],
            restart=True,
            ready="file",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})


def _scheduler_bindings(port: int, env: dict[str, str]) -> BindingOutputs:
    address = Address(LOOPBACK, port, "tls")
    return BindingOutputs(
        env={"DASK_SCHEDULER": str(address), **env}, addresses={"dask-scheduler": address}
    )
