"""The plugin's resources as a Pulumi program sees them."""

from collections.abc import Mapping, Sequence
from typing import Any

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
        env: Mapping[str, pulumi.Input[str]] | None = None,
        port_names: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
        kind: str = "service",
        ready: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "command": list(command),
            "root": root,
            "log": log,
            "env": dict(env or {}),
            "port_names": list(port_names),
            "files": dict(files or {}),
            "kind": kind,
            "ready": ready,
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
