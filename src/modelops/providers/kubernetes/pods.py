"""Pods and the metadata of objects, as the API wants them. Pure.

Every pod satisfies the Pod Security Standard "restricted".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelops.contracts import BindingOutputs
from modelops.providers.kubernetes import names

Manifest = dict[str, Any]

USER_VOLUME, HOME_VOLUME, OBJECTS_VOLUME = "secrets", "home", "objects"
# Read by the user's group alone.
_SECRET_MODE = 0o440
ADOPTS_ORPHANS: Manifest = {"shareProcessNamespace": True}
"""Of pods whose processes have others: what one leaves when it's killed, the pod's first process
reaps. A container's own first process would be ours, which reaps what it started itself."""


@dataclass(frozen=True)
class Part:
    """A part of an environment: what its objects and pods are called by their labels.

    Attributes:
        env: the environment.
        name: what it is, as in `dask-scheduler`.
        role: what its pods do; one of the roles of `names`.
        more: further labels.
    """

    env: str
    name: str
    role: str
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its objects, and of its pods."""
        return {**names.labels(self.env, self.name, self.role), **self.more}

    @property
    def selector(self) -> Manifest:
        """What selects its pods, and will for as long as it's there."""
        chosen = (names.NAME_LABEL, names.INSTANCE_LABEL, names.GROUP_LABEL)
        return {name: value for name, value in self.labels.items() if name in chosen}


def container(
    name: str,
    properties: Mapping[str, Any],
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    env_from: Iterable[Manifest] = (),
    mounts: Mapping[str, str] | None = None,
    **more: Any,
) -> Manifest:
    """Return a container.

    Args:
        name: its name.
        properties: those of the component: `image` and `resources`.
        command: what it runs.
        env: plain environment variables.
        env_from: variables whose values come from elsewhere.
        mounts: path → volume; a volume that ends with `:ro` can't be written.
        more: what else it has, by the API's names.
    """
    found: Manifest = {
        "name": name,
        "image": properties["image"],
        "command": list(command),
        "resources": properties["resources"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            _mount(path, volume)
            for path, volume in {names.TMP_MOUNT: "tmp", **(mounts or {})}.items()
        ],
        # What a container that failed wrote last is told as its reason.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **more,
    }
    variables = [
        *env_from,
        *({"name": key, "value": value} for key, value in sorted((env or {}).items())),
    ]
    return {**found, "env": variables} if variables else found


def pod_spec(
    properties: Mapping[str, Any],
    containers: Sequence[Manifest],
    volumes: Sequence[Manifest] = (),
    *,
    account: str = names.SERVICE_ACCOUNT,
    may_call_api: bool = False,
    **more: Any,
) -> Manifest:
    """Return the spec of a pod.

    Args:
        properties: those of the component, with what decides to which nodes it goes.
        containers: its containers.
        volumes: its volumes, besides the one for /tmp.
        account: its service account.
        may_call_api: whether it gets a token of that account.
        more: what else it has, by the API's names.
    """
    found: Manifest = {
        "serviceAccountName": account,
        "automountServiceAccountToken": may_call_api,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": names.USER_ID,
            "runAsGroup": names.USER_ID,
            "fsGroup": names.USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "imagePullSecrets": [{"name": name} for name in properties["pull_secrets"]],
        "nodeSelector": properties["node_selector"],
        "tolerations": properties["tolerations"],
        "affinity": _affinity(properties.get("node_labels", {})),
        "runtimeClassName": properties.get("runtime_class"),
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
        **more,
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def template(part: Part, spec: Manifest, annotations: Mapping[str, str] | None = None) -> Manifest:
    """Return the template of a part's pods."""
    metadata: Manifest = {"labels": part.labels}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": spec}


def secret_volume(
    name: str, secret: str, keys: Iterable[str] = (), *, optional: bool = False
) -> Manifest:
    """Return a volume of a Secret's keys; of all of them if none is named."""
    source: Manifest = {"secretName": secret, "defaultMode": _SECRET_MODE}
    items = [{"key": key, "path": key} for key in keys]
    if items:
        source["items"] = items
    if optional:
        source["optional"] = True
    return {"name": name, "secret": source}


def claim_volume(name: str, claim: str) -> Manifest:
    """Return a volume of a claim."""
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def config_volume(name: str, config: str) -> Manifest:
    """Return a volume of a ConfigMap's keys."""
    return {"name": name, "configMap": {"name": config}}


def dask_volume() -> Manifest:
    """Return the volume of the certificate of the Dask cluster; it's mounted at DASK_MOUNT."""
    keys = (names.CA_KEY, names.CERTIFICATE_KEY, names.PRIVATE_KEY_KEY)
    return secret_volume("dask-tls", names.DASK_TLS, keys)


def secret_variables(secrets: Mapping[str, str]) -> list[Manifest]:
    """Return variables whose values are secrets of the user: variable → secret."""
    return [
        {
            "name": variable,
            "valueFrom": {"secretKeyRef": {"name": names.USER_SECRETS, "key": secret}},
        }
        for variable, secret in sorted(secrets.items())
    ]


def binding_volumes(bindings: BindingOutputs, leave_out: Iterable[str] = ()) -> list[Manifest]:
    """Return a volume for each binding that is a secret, with that key alone."""
    return [
        secret_volume(_binding_volume(variable), ref.name, [ref.key])
        for variable, ref in sorted(bindings.secrets.items())
        if variable not in leave_out
    ]


def binding_mounts(bindings: BindingOutputs, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """Return where those volumes are mounted: path → volume."""
    return {
        names.binding_folder(variable): f"{_binding_volume(variable)}:ro"
        for variable in sorted(bindings.secrets)
        if variable not in leave_out
    }


def binding_env(bindings: BindingOutputs, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """Return what a container is told of bindings; a secret X is X_FILE with its file's path."""
    files = dict(
        names.binding_file(variable, ref.key)
        for variable, ref in bindings.secrets.items()
        if variable not in leave_out
    )
    return {**bindings.env, **files}


def simulating_volumes(properties: Mapping[str, Any]) -> list[Manifest]:
    """Return the volumes of what runs bundle code, or reads what that wrote."""
    cache, objects = properties["cache"], properties["objects"]
    home = claim_volume(HOME_VOLUME, cache) if cache else {"name": HOME_VOLUME, "emptyDir": {}}
    volumes = [home, secret_volume(USER_VOLUME, names.USER_SECRETS, optional=True)]
    return [*volumes, claim_volume(OBJECTS_VOLUME, objects)] if objects else volumes


def simulating_mounts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return where those volumes are mounted: path → volume."""
    mounts = {names.HOME_MOUNT: HOME_VOLUME, names.USER_SECRETS_MOUNT: f"{USER_VOLUME}:ro"}
    return {**mounts, names.OBJECTS_MOUNT: OBJECTS_VOLUME} if properties["objects"] else mounts


def probes(*, ready: bool = True) -> Manifest:
    """Return the probes of a container that runs our code; `ready`: whether it serves anybody."""
    found: Manifest = {
        # Often, since nothing else is asked until it has begun.
        "startupProbe": {**_get(names.HEALTH_PATH), "periodSeconds": 1, "failureThreshold": 120},
        "livenessProbe": {
            **_get(names.HEALTH_PATH),
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
    if ready:
        found["readinessProbe"] = {
            **_get(names.READY_PATH),
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        }
    return found


def metrics_port() -> Manifest:
    """Return the port of probes and metrics."""
    return {"name": "metrics", "containerPort": names.METRICS_PORT}


def _get(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": names.METRICS_PORT}}


def _mount(path: str, volume: str) -> Manifest:
    name, _, mode = volume.partition(":")
    found: Manifest = {"mountPath": path, "name": name}
    return {**found, "readOnly": True} if mode == "ro" else found


def _binding_volume(variable: str) -> str:
    return f"binding-{variable.lower().replace('_', '-')}"


def _affinity(node_labels: Mapping[str, Sequence[str]]) -> Manifest:
    wanted = [
        {"key": key, "operator": "In", "values": list(values)}
        for key, values in node_labels.items()
    ]
    if not wanted:
        return {}
    terms = {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
