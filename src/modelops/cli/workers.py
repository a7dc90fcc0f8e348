"""The workspace's workers, for commands that have something simulated themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from modelops.cli.session import refuse_dead_workspace
from modelops.contracts import RunPlan
from modelops.infra.chain import StackChain
from modelops.providers.base import DASK_BINDINGS, Component
from modelops.services.dask_connection import client_security
from modelops.services.dask_simulation import DaskSimulationService


@contextmanager
def fresh_service(chain: StackChain, plan: RunPlan) -> Iterator[DaskSimulationService]:
    """Give a block what runs simulations as a run's own service does, but keeps and finds nothing.

    They run in the group that the spec binds the run's algorithm to; in any, if it has it no more.

    Raises:
        NotThereError: if the workspace isn't up, or parts of it died.
        ServiceError: if its scheduler doesn't answer.
    """
    refuse_dead_workspace(chain)
    bound = (item.workers for item in chain.plan.algorithms if item.name == plan.algorithm)
    with (
        chain.reach(Component.WORKSPACE, DASK_BINDINGS) as bindings,
        DaskSimulationService(
            bindings.env["DASK_SCHEDULER"],
            task_timeout=plan.limits.task_timeout,
            task_memory=plan.limits.task_memory,
            worker_group=next(bound, None),
            security=client_security(bindings.env),
            public_key=plan.public_key,
            execution=replace(plan.execution, keep_outputs=False, profile=False),
        ) as service,
    ):
        yield service
