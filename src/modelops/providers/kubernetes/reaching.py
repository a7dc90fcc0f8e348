"""What is in the cluster, as this machine can use it for a while.

Services are reached by ports of loopback that lead to their pods, secrets and certificates by files
in a folder of the user's alone.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelops.contracts import Address, BindingOutputs, SecretRef
from modelops.core.errors import ProviderError, SecretError
from modelops.core.scratch import scratch_folder
from modelops.core.settings import Home
from modelops.providers.base import DATABASE_BINDING, OBJECT_STORE_BINDING, ProviderPlan
from modelops.providers.kubernetes import cluster, names, objects
from modelops.providers.kubernetes.background_loop import BackgroundLoop
from modelops.providers.kubernetes.forwarding import Forward, Target

# How every pod of a cluster calls a Service, with the port.
_SERVICE = re.compile(
    r"(?P<service>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(?:\.cluster\.local)?:(?P<port>\d+)\b"
)
_LOOPBACK = "127.0.0.1"
_SECONDS = 30.0


@contextmanager
def reach(plan: ProviderPlan, bindings: BindingOutputs) -> Iterator[BindingOutputs]:
    """Give a block bindings as this machine can use them; nothing is left after the block.

    Raises:
        ProviderError: if the cluster can't be asked, or nothing is there that a binding leads to.
        SecretError: if a secret isn't there.
    """
    if not bindings.env and not bindings.secrets:
        yield bindings
        return
    with scratch_folder(Home.current()) as folder, BackgroundLoop("port-forwards") as loop:
        reaching = _Reaching(cluster.properties_of(plan), loop, folder)
        try:
            yield reaching.reached(bindings)
        finally:
            reaching.close()


class _Reaching:
    def __init__(self, properties: Mapping[str, Any], loop: BackgroundLoop, folder: Path) -> None:
        self._properties, self._loop, self._folder = properties, loop, folder
        self._namespace = str(properties["namespace"])
        self._ports: dict[Target, int] = {}
        self._services: dict[str, Target] = {}
        self._forwards: list[Forward] = []
        self._secrets: dict[str, Mapping[str, str]] = {}
        self._api: Any = None

    def reached(self, bindings: BindingOutputs) -> BindingOutputs:
        env = {name: self._variable(name, value) for name, value in bindings.env.items()}
        secrets = {name: self._secret(name, ref) for name, ref in bindings.secrets.items()}
        addresses = {name: self._address(at) for name, at in bindings.addresses.items()}
        return BindingOutputs(env, secrets, addresses)

    def close(self) -> None:
        for forward in self._forwards:
            self._loop.run(forward.close(), _SECONDS)
        if self._api is not None:
            self._loop.run(cluster.close(self._api), _SECONDS)

    def _variable(self, name: str, value: str) -> str:
        if name == OBJECT_STORE_BINDING and value == names.OBJECTS_URL:
            return f"http://{_LOOPBACK}:{self._port(self._objects())}"
        if value.startswith(f"{names.DASK_MOUNT}/"):
            key = value.removeprefix(f"{names.DASK_MOUNT}/")
            return self._file(names.DASK_TLS, key, self._value(name, names.DASK_TLS, key))
        return self._with_ports(value)

    def _secret(self, name: str, ref: SecretRef) -> SecretRef:
        if ref.kind == "file":
            return ref
        value = self._value(name, ref.name, ref.key)
        if name.startswith(DATABASE_BINDING):
            value = self._with_ports(value.decode()).encode()
        return SecretRef("file", self._file(ref.name, ref.key, value))

    def _address(self, address: Address) -> Address:
        """Return where a service that is reached listens; others stay where they are."""
        target = self._target(f"{address.host}:{address.port}", known_only=True)
        port = None if target is None else self._ports.get(target)
        return address if port is None else Address(_LOOPBACK, port, address.scheme)

    def _with_ports(self, value: str) -> str:
        """Return a value with a port of ours in the place of each Service of the cluster."""

        def replaced(found: re.Match[str]) -> str:
            target = self._target(found[0])
            return found[0] if target is None else f"{_LOOPBACK}:{self._port(target)}"

        # A password that looks like a host stays: it is before the @.
        place, question, query = value.partition("?")
        before, at, after = place.rpartition("@")
        return before + at + _SERVICE.sub(replaced, after) + question + query

    def _target(self, place: str, *, known_only: bool = False) -> Target | None:
        found = _SERVICE.fullmatch(place)
        if found is None:
            return None
        if found[0] not in self._services and not known_only:
            with cluster.api(self._properties) as api:
                self._services[found[0]] = _target_of_service(api, found)
        return self._services.get(found[0])

    def _objects(self) -> Target:
        labels = {
            names.INSTANCE_LABEL: str(self._properties["env"]),
            names.COMPONENT_LABEL: names.OBJECTS_ROLE,
        }
        chosen = tuple(sorted(labels.items()))
        return Target(self._namespace, chosen, names.OBJECTS_PORT, "the object store")

    def _port(self, target: Target) -> int:
        if target not in self._ports:
            with cluster.told(self._properties):
                self._ports[target] = self._loop.run(self._listen(target), _SECONDS)
        return self._ports[target]

    async def _listen(self, target: Target) -> int:
        if self._api is None:
            self._api = await cluster.async_api(self._properties)
        forward = Forward(self._api, target)
        self._forwards.append(forward)
        return await forward.listen()

    def _value(self, name: str, secret: str, key: str) -> bytes:
        if secret not in self._secrets:
            with cluster.api(self._properties) as api:
                found = objects.get(api, "v1", "Secret", secret, self._namespace)
            self._secrets[secret] = {} if found is None else (found.get("data") or {})
        encoded = self._secrets[secret].get(key)
        if encoded is not None:
            return base64.b64decode(encoded)
        if secret == names.USER_SECRETS:
            hint = f"Store it with: mops secrets set {key}"
        else:
            hint = "It comes back with: mops up"
        raise SecretError(
            f"{name} isn't there: the Secret {secret} in the namespace {self._namespace} has no "
            f"key {key!r}.",
            hint=hint,
        )

    def _file(self, secret: str, key: str, value: bytes) -> str:
        # The folder is the user's alone already.
        path = self._folder / f"{secret}.{key}"
        path.touch(mode=0o600)
        path.write_bytes(value)
        return str(path)


def _target_of_service(api: Any, place: re.Match[str]) -> Target:
    """Return the pods that a Service leads to, and the port that they listen at."""
    name, namespace, port = place["service"], place["namespace"], int(place["port"])
    service = objects.get(api, "v1", "Service", name, namespace)
    selector = {} if service is None else service["spec"].get("selector") or {}
    if service is None or not selector:
        what = "There is no Service" if service is None else "No pods are behind the Service"
        raise ProviderError(
            f"{what} {name} in the namespace {namespace}.",
            hint="What is gone comes back with: mops up",
        )
    ports = service["spec"].get("ports") or ()
    aim = next((each.get("targetPort", port) for each in ports if each["port"] == port), port)
    if isinstance(aim, str):
        aim = _port_called(aim, objects.get_all(api, "Pod", namespace, selector), port)
    return Target(namespace, tuple(sorted(selector.items())), aim, name)


def _port_called(name: str, pods: list[objects.Item], otherwise: int) -> int:
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or ():
                if port.get("name") == name:
                    return int(port["containerPort"])
    return otherwise
