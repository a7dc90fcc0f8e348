"""A run: the runner as a job that ends by itself."""

import json
import sys

import pulumi

from modelops.contracts import BindingOutputs
from modelops.providers.base import DATABASE_BINDING, ResourcePlan
from modelops.providers.local.components.bindings import Bindings, needed_env
from modelops.providers.local.components.resources import Process


class Run(pulumi.ComponentResource):
    """One run's runner process; it hands on the bindings that the run has got."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        # The run knows its own database as DATABASE_URL, whichever of the spec's it is bound to.
        env = {
            "DATABASE_URL" if name.startswith(DATABASE_BINDING) else name: value
            for name, value in needed_env(plan, known).items()
        }
        Process(
            plan.name,
            command=[
                *(sys.executable, "-m", "modelops.runner.main"),
                *("--run", "{dir}/run.json", "--ready-file", "{ready}"),
            ],
            root=properties["root"],
            log=properties["log"],
            env={**env, "MODELOPS_HOME": properties["home"]},
            files={"run.json": json.dumps(properties["run"], sort_keys=True)},
            kind="job",
            ready="file",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.bindings = pulumi.Output.all(**env).apply(lambda values: BindingOutputs(env=values))
        self.register_outputs({})
