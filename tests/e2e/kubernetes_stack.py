"""A stack of Kubernetes resources on the real engine, for tests of the Kubernetes plugin."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kubernetes_provider.launcher import path_with_plugin

_OPERATION = Path(__file__).with_name("kubernetes_operation.py")
# An operation waits for pods on a machine that does other things too.
_SECONDS = 170.0


class Network(Protocol):
    """Where commands run that have to reach the cluster."""

    def run(
        self,
        command: list[str | Path],
        *,
        input: str | None = None,  # noqa: A002
        check: bool = True,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""


class Here:
    """The network of this process: for what needs no cluster."""

    def run(
        self,
        command: list[str | Path],
        *,
        input: str | None = None,  # noqa: A002
        check: bool = True,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command, input=input, check=check, timeout=timeout, capture_output=True, text=True
        )


@dataclass(frozen=True)
class Resource:
    """A resource of a program.

    Attributes:
        type: API version and kind, as in `apps/v1:Deployment`.
        name: Pulumi's name for it.
        inputs: the object's fields; texts that begin with `secret:` are secrets.
        options: of Pulumi: ignore_changes, custom_timeouts, depends_on (names of those before).
    """

    type: str
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What an operation of the engine did.

    Attributes:
        steps: what it did with each resource, by name: `create`, `update`, `same`, `replace` ….
        differences: the fields that it found different, by the resource's name.
        messages: what was said of resources, in order; status messages too.
        error: what the engine said when it failed; empty if it didn't.
    """

    steps: dict[str, list[str]]
    differences: dict[str, list[str]]
    messages: list[str]
    error: str

    @property
    def text(self) -> str:
        """Return everything that was said."""
        return "\n".join([*self.messages, self.error])


class KubernetesStack:
    """A stack in a MODELOPS_HOME of its own, with a provider for one cluster."""

    def __init__(self, folder: Path, network: Network, **provider: Any) -> None:
        (folder / "plugin").mkdir()
        self._network = network
        self._home = folder / "home"
        self._environment = {
            # The engine's many short processes needn't collect what the system takes back.
            "GOGC": "400",
            "MODELOPS_HOME": str(self._home),
            "PATH": path_with_plugin(folder / "plugin"),
        }
        self.provider = provider

    def up(self, *resources: Resource) -> Outcome:
        return self._operate("up", resources)

    def preview(self, *resources: Resource) -> Outcome:
        return self._operate("preview", resources)

    def refresh(self) -> Outcome:
        return self._operate("refresh", ())

    def destroy(self) -> Outcome:
        return self._operate("destroy", ())

    def state(self) -> dict[str, dict[str, Any]]:
        """Return what the state has of each resource, by its name; secrets stay encrypted."""
        resources = self._run("export", ())["state"]
        return {each["urn"].rpartition("::")[2]: each for each in resources}

    def _operate(self, operation: str, resources: tuple[Resource, ...]) -> Outcome:
        did = self._run(operation, resources)
        return Outcome(did["steps"], did["differences"], did["messages"], did["error"])

    def _run(self, operation: str, resources: tuple[Resource, ...]) -> dict[str, Any]:
        asked = {
            "operation": operation,
            "home": str(self._home),
            "provider": self.provider,
            "resources": [vars(each) for each in resources],
        }
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        command: list[str | Path] = ["env", *variables, sys.executable, _OPERATION]
        done = self._network.run(command, input=json.dumps(asked), timeout=_SECONDS)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
