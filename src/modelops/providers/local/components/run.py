"""A run: the runner as a job that ends by itself."""

import json
import sys

import pulumi

from modelops.core.secret_files import STORED_VARIABLE, variables
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings, as_the_run_knows_them, needed
from modelops.providers.local.components.resources import Process


class Run(pulumi.ComponentResource):
    """One run's runner process; it hands on the bindings that the run has got."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        self.bindings = needed(plan, known).apply(as_the_run_knows_them)
        given = {"MODELOPS_HOME": properties["home"], STORED_VARIABLE: properties["secrets"]}
        Process(
            plan.name,
            command=[
                *(sys.executable, "-m", "modelops.runner.main"),
                *("--run", "{dir}/run.json", "--ready-file", "{ready}"),
            ],
            root=properties["root"],
            log=properties["log"],
            env=self.bindings.apply(lambda own: {**variables(own), **given}),
            inherit=properties["inherit"],
            files={"run.json": json.dumps(properties["run"], sort_keys=True)},
            kind="job",
            ready="file",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
