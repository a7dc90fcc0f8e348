"""One operation of the engine on a stack of Kubernetes resources, in a process of its own.

A test's process isn't in the network that its cluster is in, and an inline program has to be where
the engine is. The operation is described as JSON on the standard input; what it did goes as JSON to
the standard output. kubernetes_stack.py is the other side.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi import automation as auto

from modelops.core.automation import open_workspace
from modelops.core.settings import Home

SECRET = "secret:"
"""What a text begins with that goes into the program as a secret."""


def main() -> None:
    asked = json.load(sys.stdin)
    work_dir = Path(asked["home"]) / "program"
    work_dir.mkdir(parents=True, exist_ok=True)
    workspace = open_workspace(Home(Path(asked["home"])), "standin", work_dir)
    stack = auto.Stack.create_or_select("standin", workspace)
    did: dict[str, Any] = {"steps": {}, "differences": {}, "messages": [], "error": ""}
    if asked["operation"] == "export":
        command = ["stack", "export", "--stack", stack.name]
        done = workspace.pulumi_command.run(command, workspace.work_dir, workspace.env_vars)
        did["state"] = json.loads(done.stdout)["deployment"].get("resources", [])
    else:
        _operate(stack, asked, did)
    json.dump(did, sys.stdout)


def _operate(stack: auto.Stack, asked: dict[str, Any], did: dict[str, Any]) -> None:
    program = {}
    if asked["operation"] in ("up", "preview"):
        program = {"program": lambda: _declare(asked["provider"], asked["resources"])}
    try:
        getattr(stack, asked["operation"])(on_event=lambda event: _note(event, did), **program)
    except auto.CommandError as error:
        did["error"] = str(error)


def _note(event: auto.EngineEvent, did: dict[str, Any]) -> None:
    if event.resource_pre_event is not None:
        metadata = event.resource_pre_event.metadata
        name = metadata.urn.rpartition("::")[2]
        did["steps"].setdefault(name, []).append(metadata.op.value)
        did["differences"].setdefault(name, sorted(metadata.detailed_diff or ()))
    said = event.diagnostic_event
    if said is not None and said.severity != "debug":
        did["messages"].append(said.message.strip())


def _declare(provider_inputs: dict[str, Any], resources: list[dict[str, Any]]) -> None:
    provider = kubernetes.Provider("cluster", **_given(provider_inputs))
    made: dict[str, pulumi.Resource] = {}
    for each in resources:
        version, kind = each["type"].split(":")
        options = dict(each["options"])
        options["depends_on"] = [made[name] for name in options.get("depends_on", ())]
        if "custom_timeouts" in options:
            options["custom_timeouts"] = pulumi.CustomTimeouts(**options["custom_timeouts"])
        made[each["name"]] = _class(version, kind)(
            each["name"],
            opts=pulumi.ResourceOptions(provider=provider, **options),
            **_given(each["inputs"]),
        )


def _class(version: str, kind: str) -> Any:
    """Return the SDK's class of a kind; custom resources have one for all."""
    module: Any = kubernetes
    for name in version.replace(".k8s.io", "").replace(".authorization", "").split("/"):
        module = getattr(module, name, None)
    if module is not None:
        return getattr(module, kind)

    def custom(name: str, opts: pulumi.ResourceOptions, **inputs: Any) -> pulumi.Resource:
        return kubernetes.apiextensions.CustomResource(
            name, api_version=version, kind=kind, opts=opts, **inputs
        )

    return custom


def _given(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[1].lower(), name): _value(value)
        for name, value in inputs.items()
    }


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    if isinstance(value, str) and value.startswith(SECRET):
        return pulumi.Output.secret(value.removeprefix(SECRET))
    return value


if __name__ == "__main__":
    main()
