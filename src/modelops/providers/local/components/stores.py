"""Where things are kept: bundles, results, journals."""

import pulumi
from sqlalchemy import URL

from modelops.contracts import BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.local.components.bindings import Bindings
from modelops.providers.local.components.resources import Directory


class BundleRegistry(pulumi.ComponentResource):
    """OCI image layouts in a folder, or a registry that exists already."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        url = plan.properties.get("url")
        if url is None:
            path = plan.properties["path"]
            folder = Directory(plan.name, path=path, opts=pulumi.ResourceOptions(parent=self))
            self.bindings = folder.path.apply(
                lambda there: _env("MODELOPS_BUNDLE_REGISTRY", f"oci-layout://{there}")
            )
        else:
            self.bindings = pulumi.Output.from_input(_env("MODELOPS_BUNDLE_REGISTRY", url))
        self.register_outputs({})


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


class Database(pulumi.ComponentResource):
    """A folder that holds one SQLite database for journals."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        path = plan.properties["path"]
        binding = plan.properties["binding"]
        folder = Directory(plan.name, path=path, opts=pulumi.ResourceOptions(parent=self))
        self.bindings = folder.path.apply(
            lambda there: _env(binding, _sqlite_url(f"{there}/journal.sqlite"))
        )
        self.register_outputs({})


def _sqlite_url(path: str) -> str:
    """Return the URL of a database file; a ? or % in its path is a part of the path."""
    return URL.create("sqlite", database=path).render_as_string()


def _env(name: str, value: str) -> BindingOutputs:
    return BindingOutputs(env={name: value})
