"""Where results are kept, and what pods share."""

import pulumi

from modelops.contracts import BindingOutputs, SecretRef
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.kubernetes import commands, names, pods
from modelops.providers.kubernetes.components.cluster import Cluster

_ALIVE = f"import socket; socket.create_connection(('127.0.0.1', {names.OBJECTS_PORT}), 5).close()"


class ObjectStore(pulumi.ComponentResource):
    """A volume for results, and a pod through which they are read from outside."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        part = pods.Part(properties["env"], plan.name, names.OBJECTS_ROLE)
        claim = properties["claim"]
        after: tuple[pulumi.Resource, ...] = ()
        if properties["managed"]:
            after = (cluster.claim(part, claim, properties["volume"], below=self),)
        container = pods.container(
            "objects",
            properties,
            commands.objects_server(),
            env=commands.EVERYWHERE,
            mounts={names.OBJECTS_MOUNT: "objects:ro"},
            # It listens to its own pod alone, to which only a forwarded port leads.
            readinessProbe={
                "exec": {"command": [commands.PYTHON, "-c", _ALIVE]},
                "periodSeconds": 10,
                "timeoutSeconds": 5,
            },
        )
        volumes = [pods.claim_volume("objects", claim)]
        # As a container's first process it heeds no SIGTERM, and has nothing to bring to an end.
        spec = pods.pod_spec(properties, [container], volumes, terminationGracePeriodSeconds=1)
        served = cluster.deployment(
            part,
            plan.name,
            pods.template(part, spec),
            below=self,
            after=after,
        )
        known = BindingOutputs(env={"OBJECT_STORE_URL": names.OBJECTS_URL})
        self.bindings = served.urn.apply(lambda _: known)
        self.register_outputs({})


class ExternalObjectStore(pulumi.ComponentResource):
    """A bucket that exists already, and what those who open it are told."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        secrets = {
            variable: SecretRef("k8s", names.USER_SECRETS, secret)
            for variable, secret in properties["secret_variables"].items()
        }
        env = {"OBJECT_STORE_URL": properties["url"], **properties["variables"]}
        self.bindings = pulumi.Output.from_input(BindingOutputs(env=env, secrets=secrets))
        self.register_outputs({})


class Cache(pulumi.ComponentResource):
    """A volume for bundles and packages that pods share."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        part = pods.Part(plan.properties["env"], names.CACHE, "cache")
        # Whatever is in it can be fetched again.
        cluster.claim(part, plan.name, plan.properties["volume"], below=self, keep=False)
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})
