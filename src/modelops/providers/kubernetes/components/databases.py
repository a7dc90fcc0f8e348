"""Where journals are kept: a PostgreSQL in the cluster, or one that is there already."""

import pulumi
import pulumi_kubernetes as kubernetes

from modelops.contracts import Address, BindingOutputs, SecretRef
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.kubernetes import names, pods, postgres
from modelops.providers.kubernetes.components.certificates import issue
from modelops.providers.kubernetes.components.cluster import Cluster
from modelops.providers.local.components.resources import Random

_PASSWORD_LENGTH = 32


class PostgresDatabase(pulumi.ComponentResource):
    """A PostgreSQL with a volume, a password that its Secret keeps with the data, and TLS."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        name, properties = plan.name, plan.properties
        part = pods.Part(properties["env"], name, names.DATABASE_ROLE)
        claim, config, tls = f"{name}-data", f"{name}-config", f"{name}-tls"
        host = names.host(name, cluster.namespace)
        password = Random(
            f"{name}-password",
            length=_PASSWORD_LENGTH,
            kind="password",
            secret=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        login = cluster.secret(
            part,
            name,
            {
                names.PASSWORD_KEY: password.value,
                names.URL_KEY: password.value.apply(lambda value: postgres.url(value, host)),
            },
            below=self,
            keep=True,
        )
        issued = issue(cluster, part, tls, [name], below=self)
        before = (
            login,
            issued.secret,
            cluster.claim(part, claim, properties["volume"], below=self),
            cluster.make(
                kubernetes.core.v1.ConfigMap, part, config, below=self, data=postgres.FILES
            ),
            cluster.service(part, name, {"postgresql": names.DATABASE_PORT}, below=self),
        )
        spec = postgres.pod(properties, secret=name, claim=claim, config=config, tls=tls)
        server = cluster.make(
            kubernetes.apps.v1.StatefulSet,
            part,
            name,
            below=self,
            after=before,
            spec={
                "replicas": 1,
                "revisionHistoryLimit": 2,
                "serviceName": name,
                "selector": {"matchLabels": part.selector},
                "template": issued.fingerprint.apply(
                    lambda value: pods.template(part, spec, {"modelops/certificate": value})
                ),
            },
        )
        known = BindingOutputs(
            secrets={properties["binding"]: SecretRef("k8s", name, names.URL_KEY)},
            addresses={name: Address(host, names.DATABASE_PORT, "postgresql")},
        )
        self.bindings = server.urn.apply(lambda _: known)
        self.register_outputs({})


class ExternalDatabase(pulumi.ComponentResource):
    """A database that is there already; a secret of the user's holds its URL."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        ref = SecretRef("k8s", names.USER_SECRETS, plan.properties["secret"])
        self.bindings = pulumi.Output.from_input(
            BindingOutputs(secrets={plan.properties["binding"]: ref})
        )
        self.register_outputs({})
