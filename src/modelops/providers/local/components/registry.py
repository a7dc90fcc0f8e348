"""Where bundles are kept: a folder, a registry that runs here, or one that exists already."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import bcrypt
import pulumi
import yaml

from modelops.contracts import BindingOutputs, SecretRef
from modelops.core.tools import find_registry
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.local.components.resources import (
    Certificate,
    Directory,
    Process,
    Random,
    SecretFile,
)
from modelops.providers.local.plugin.ports import LOOPBACK

_USER = "modelops"
_BINDING = "MODELOPS_BUNDLE_REGISTRY"
_PASSWORD_LENGTH = 32
_CA_DAYS, _CERTIFICATE_DAYS = 3650, 365
# The password has 190 random bits, so that a slow hash would protect nothing more, and the
# registry computes it anew for each request.
_BCRYPT_COST = 4
_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPTS_OWN = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class BundleRegistry(pulumi.ComponentResource):
    """OCI image layouts in a folder, an OCI registry on loopback, or one that exists already."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        self._plan = plan
        self._below = pulumi.ResourceOptions(parent=self)
        if "url" in plan.properties:
            self.bindings = pulumi.Output.from_input(_at(plan.properties["url"]))
        elif "data" in plan.properties:
            self.bindings = self._run_registry()
        else:
            folder = Directory(plan.name, path=plan.properties["path"], opts=self._below)
            self.bindings = folder.path.apply(lambda there: _at(f"oci-layout://{there}"))
        self.register_outputs({})

    def _run_registry(self) -> Bindings:
        name, properties = self._plan.name, self._plan.properties
        secrets = Path(properties["secrets"])
        data = Directory(f"{name}-data", path=properties["data"], opts=self._below)
        access = self._users(secrets) if properties["auth"] == "htpasswd" else _Access()
        tls = self._certificate(secrets) if properties["tls"] else _Access()
        config = pulumi.Output.all(
            data=data.path, htpasswd=access.path, tls=tls.path, fingerprint=tls.fingerprint
        ).apply(_config)
        process = Process(
            name,
            command=[str(find_registry()), "serve", "{dir}/config.yml"],
            root=properties["root"],
            log=properties["log"],
            env={
                "REGISTRY_HTTP_ADDR": f"{LOOPBACK}:{{port:registry}}",
                # It would look for a collector of traces on this machine.
                "OTEL_TRACES_EXPORTER": "none",
            },
            files={"config.yml": config},
            port_names=["registry"],
            ready="port:registry",
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[data, *access.resources, *tls.resources]
            ),
        )
        return process.port("registry").apply(
            lambda port: _at(f"{LOOPBACK}:{port}").merged(access.bindings).merged(tls.bindings)
        )

    def _users(self, secrets: Path) -> "_Access":
        name = self._plan.name
        password = Random(
            f"{name}-password",
            length=_PASSWORD_LENGTH,
            kind="password",
            secret=True,
            opts=self._below,
        )
        path = str(secrets / f"{name}-password")
        kept = SecretFile(
            f"{name}-password-file", path=path, content=password.value, opts=self._below
        )
        entry = SecretFile(
            f"{name}-htpasswd",
            path=str(secrets / f"{name}-htpasswd"),
            content=password.value.apply(lambda value: htpasswd_entry(_USER, value)),
            opts=self._below,
        )
        bindings = BindingOutputs(
            env={f"{_BINDING}_USERNAME": _USER},
            secrets={f"{_BINDING}_PASSWORD": SecretRef("file", path)},
        )
        return _Access(entry.path, bindings=bindings, resources=(kept, entry))

    def _certificate(self, secrets: Path) -> "_Access":
        name = self._plan.name
        authority = Certificate(
            f"{name}-ca",
            directory=str(secrets / f"{name}-ca"),
            common_name=f"ModelOps CA of {name}",
            days=_CA_DAYS,
            opts=self._below,
        )
        directory = str(secrets / f"{name}-tls")
        certificate = Certificate(
            f"{name}-tls",
            directory=directory,
            common_name=name,
            hosts=[LOOPBACK, "localhost"],
            days=_CERTIFICATE_DAYS,
            issuer=authority,
            opts=self._below,
        )
        bindings = BindingOutputs(env={f"{_BINDING}_CA_FILE": f"{directory}/ca.crt"})
        return _Access(
            certificate.directory, certificate.fingerprint, bindings, (authority, certificate)
        )


@dataclass(frozen=True)
class _Access:
    """What the registry reads of its users or its certificate, and what others are told."""

    path: pulumi.Input[str] = ""
    fingerprint: pulumi.Input[str] = ""
    bindings: BindingOutputs = field(default_factory=BindingOutputs)
    resources: tuple[pulumi.Resource, ...] = ()


def htpasswd_entry(user: str, password: str) -> str:
    """Return the line of an htpasswd file, with bcrypt; the same for the same password.

    A salt that is new each time would be a change at each `up`, so it comes from the password.
    """
    salt = sha256(f"salt of {password}".encode()).digest()[:16]
    text = base64.b64encode(salt).rstrip(b"=").translate(bytes.maketrans(_STANDARD, _BCRYPTS_OWN))
    hashed = bcrypt.hashpw(password.encode(), b"$2b$%02d$%s" % (_BCRYPT_COST, text))
    return f"{user}:{hashed.decode()}\n"


def registry_config(data: str, *, htpasswd: str = "", tls: str = "") -> str:
    """Return the registry's configuration; the address is in a variable of its environment.

    Args:
        data: the folder of its data.
        htpasswd: the file of its users; empty for everyone.
        tls: the folder of `tls.crt` and `tls.key`; empty for plain HTTP.
    """
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": data}, "delete": {"enabled": True}},
        "http": {},
    }
    if htpasswd:
        config["auth"] = {"htpasswd": {"realm": "modelops", "path": htpasswd}}
    if tls:
        config["http"]["tls"] = {"certificate": f"{tls}/tls.crt", "key": f"{tls}/tls.key"}
    return yaml.safe_dump(config, sort_keys=False)


def _config(known: Mapping[str, str]) -> str:
    text = registry_config(known["data"], htpasswd=known["htpasswd"], tls=known["tls"])
    # It reads the files once: another certificate is another configuration.
    return f"# certificate {known['fingerprint']}\n{text}" if known["tls"] else text


def _at(url: str) -> BindingOutputs:
    return BindingOutputs(env={_BINDING: url})
