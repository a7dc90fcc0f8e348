"""The plugin's resources as a Pulumi program sees them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi


class Process(pulumi.CustomResource):
    """A detached process on this machine; its inputs are those of `plugin/process.py`."""

    ports: pulumi.Output[dict[str, float]]

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[pulumi.Input[str]],
        root: str,
        log: str,
        env: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        inherit: Sequence[str] = (),
        port_names: Sequence[str] = (),
        files: Mapping[str, pulumi.Input[str]] | None = None,
        kind: Literal["service", "job"] = "service",
        restart: bool = False,
        ready: str = "",
        ready_command: Sequence[pulumi.Input[str]] = (),
        ready_timeout: float = 60,
        stop_signal: Literal["TERM", "INT", "QUIT"] = "TERM",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "command": list(command),
            "root": root,
            "log": log,
            "env": {} if env is None else env,
            "inherit": list(inherit),
            "port_names": list(port_names),
            "files": dict(files or {}),
            "kind": kind,
            "restart": restart,
            "ready": ready,
            "ready_command": list(ready_command),
            "ready_timeout": ready_timeout,
            "stop_signal": stop_signal,
            # An output: Pulumi knows the outputs of a resource by their being None here.
            "ports": None,
        }
        super().__init__("modelops:index:Process", name, inputs, opts)

    def port(self, name: str) -> pulumi.Output[int]:
        """Return the number of a port."""
        return self.ports.apply(lambda ports: int(ports[name]))


class Directory(pulumi.CustomResource):
    """A folder on this machine that holds data."""

    path: pulumi.Output[str]

    def __init__(self, name: str, *, path: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("modelops:index:Directory", name, {"path": path}, opts)


class Random(pulumi.CustomResource):
    """A value that is made once; its inputs are those of `plugin/random_value.py`."""

    value: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        length: int,
        kind: Literal["name", "password"],
        secret: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"length": length, "kind": kind, "secret": secret, "value": None}
        super().__init__("modelops:index:Random", name, inputs, opts)


class SecretFile(pulumi.CustomResource):
    """A file with a secret in it; its inputs are those of `plugin/secret_file.py`."""

    path: pulumi.Output[str]
    fingerprint: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        path: str,
        content: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        secret = pulumi.Output.secret(content)
        inputs = {"path": path, "content": secret, "fingerprint": None}
        super().__init__("modelops:index:SecretFile", name, inputs, opts)


class Certificate(pulumi.CustomResource):
    """A CA or what one issued; its inputs are those of `plugin/certificate.py`."""

    directory: pulumi.Output[str]
    fingerprint: pulumi.Output[str]
    not_after: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        directory: str,
        common_name: str,
        days: int,
        hosts: Sequence[str] = (),
        issuer: "Certificate | None" = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "directory": directory,
            "common_name": common_name,
            "days": days,
            "hosts": list(hosts),
            "issuer": issuer.directory if issuer else "",
            "issuer_fingerprint": issuer.fingerprint if issuer else "",
            "fingerprint": None,
            "not_after": None,
        }
        super().__init__("modelops:index:Certificate", name, inputs, opts)


class PemCertificate(pulumi.CustomResource):
    """A CA or a certificate as text; its inputs are those of `plugin/pem_certificate.py`."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    fingerprint: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        common_name: str,
        days: int,
        hosts: Sequence[str] = (),
        issuer: "PemCertificate | None" = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "common_name": common_name,
            "days": days,
            "hosts": list(hosts),
            "issuer_certificate": issuer.certificate if issuer else "",
            "issuer_key": issuer.key if issuer else "",
            "certificate": None,
            "key": None,
            "fingerprint": None,
            "not_after": None,
        }
        super().__init__("modelops:index:PemCertificate", name, inputs, opts)
