"""Where results are kept."""

import pulumi

from modelops.contracts import BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.local.components.resources import Directory


class ObjectStore(pulumi.ComponentResource):
    """A folder for results."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        path = plan.properties["path"]
        folder = Directory(plan.name, path=path, opts=pulumi.ResourceOptions(parent=self))
        self.bindings = folder.path.apply(
            # Not Path.as_uri: fsspec takes the path as it is and knows no %20.
            lambda there: _env("OBJECT_STORE_URL", f"file://{there}")
        )
        self.register_outputs({})


def _env(name: str, value: str) -> BindingOutputs:
    return BindingOutputs(env={name: value})
