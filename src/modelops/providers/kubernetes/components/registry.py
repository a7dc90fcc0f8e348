"""Where bundles are kept: a registry in the cluster, or one that exists already."""

import pulumi
import pulumi_kubernetes as kubernetes

from modelops.contracts import Address, BindingOutputs, SecretRef
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.kubernetes import names, pods
from modelops.providers.kubernetes.components.certificates import issue
from modelops.providers.kubernetes.components.cluster import Cluster
from modelops.providers.local.components.registry import htpasswd_entry, registry_config
from modelops.providers.local.components.resources import Random

_BINDING = "MODELOPS_BUNDLE_REGISTRY"
_USER = "modelops"
_PASSWORD_LENGTH = 32
_DATA, _CONFIG = "/var/lib/registry", f"{names.ETC}/registry"
_LOGIN, _TLS = f"{names.ETC}/login", f"{names.ETC}/tls"


class BundleRegistry(pulumi.ComponentResource):
    """An OCI registry with a volume, a password and TLS."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        part = pods.Part(properties["env"], names.REGISTRY, names.REGISTRY_ROLE)
        data = cluster.claim(part, names.REGISTRY_DATA, properties["volume"], below=self)
        password = Random(
            "registry-password",
            length=_PASSWORD_LENGTH,
            kind="password",
            secret=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        login = cluster.secret(
            part,
            names.REGISTRY_LOGIN,
            {
                names.USERNAME_KEY: _USER,
                names.PASSWORD_KEY: password.value,
                names.HTPASSWD_KEY: password.value.apply(
                    lambda value: htpasswd_entry(_USER, value)
                ),
            },
            below=self,
        )
        tls = issue(cluster, part, names.REGISTRY_TLS, [names.REGISTRY], below=self)
        config = cluster.make(
            kubernetes.core.v1.ConfigMap,
            part,
            names.REGISTRY_CONFIG,
            below=self,
            data={
                "config.yml": registry_config(
                    _DATA, htpasswd=f"{_LOGIN}/{names.HTPASSWD_KEY}", tls=_TLS
                )
            },
        )
        service = cluster.service(
            part, names.REGISTRY, {"registry": names.REGISTRY_PORT}, below=self
        )
        deployment = cluster.deployment(
            part,
            names.REGISTRY,
            tls.fingerprint.apply(
                # It reads the certificate once: another one is another pod.
                lambda value: pods.template(
                    part, _registry_pod(plan), {"modelops/certificate": value}
                )
            ),
            below=self,
            after=(data, login, tls.secret, config, service),
        )
        host = names.host(names.REGISTRY, cluster.namespace)
        known = BindingOutputs(
            env={_BINDING: f"{host}:{names.REGISTRY_PORT}", f"{_BINDING}_USERNAME": _USER},
            secrets={
                f"{_BINDING}_PASSWORD": SecretRef("k8s", names.REGISTRY_LOGIN, names.PASSWORD_KEY),
                f"{_BINDING}_CA": SecretRef("k8s", names.REGISTRY_TLS, names.CA_KEY),
            },
            addresses={names.REGISTRY: Address(host, names.REGISTRY_PORT, "https")},
        )
        self.bindings = deployment.urn.apply(lambda _: known)
        self.register_outputs({})


class ExternalRegistry(pulumi.ComponentResource):
    """A registry that exists already, and how pods reach it."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        login = plan.properties["login"]
        env = {_BINDING: plan.properties["url"]}
        if "username" in login:
            env[f"{_BINDING}_USERNAME"] = login["username"]
        if login.get("insecure"):
            env["MODELOPS_BUNDLE_INSECURE"] = "true"
        secrets = {
            f"{_BINDING}_{name}": SecretRef("k8s", names.USER_SECRETS, login[key])
            for name, key in (("PASSWORD", "passwordFrom"), ("CA", "caFrom"))
            if key in login
        }
        self.bindings = pulumi.Output.from_input(BindingOutputs(env=env, secrets=secrets))
        self.register_outputs({})


def _registry_pod(plan: ResourcePlan) -> pods.Manifest:
    container = pods.container(
        names.REGISTRY,
        plan.properties,
        ["registry", "serve", f"{_CONFIG}/config.yml"],
        env={
            "REGISTRY_HTTP_ADDR": f":{names.REGISTRY_PORT}",
            # It would look for a collector of traces in the pod.
            "OTEL_TRACES_EXPORTER": "none",
        },
        mounts={_DATA: "data", _CONFIG: "config:ro", _LOGIN: "login:ro", _TLS: "tls:ro"},
        ports=[{"name": "registry", "containerPort": names.REGISTRY_PORT}],
        # All that it serves needs the password.
        readinessProbe={"tcpSocket": {"port": names.REGISTRY_PORT}, "periodSeconds": 2},
        livenessProbe={"tcpSocket": {"port": names.REGISTRY_PORT}, "periodSeconds": 20},
    )
    tls_keys = (names.CERTIFICATE_KEY, names.PRIVATE_KEY_KEY)
    volumes = [
        pods.claim_volume("data", names.REGISTRY_DATA),
        pods.config_volume("config", names.REGISTRY_CONFIG),
        pods.secret_volume("login", names.REGISTRY_LOGIN, [names.HTPASSWD_KEY]),
        pods.secret_volume("tls", names.REGISTRY_TLS, tls_keys),
    ]
    return pods.pod_spec(plan.properties, [container], volumes)
