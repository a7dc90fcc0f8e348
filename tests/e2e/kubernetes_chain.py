"""One operation on the stacks of a spec whose provider is `kubernetes`, in a process of its own.

    python kubernetes_chain.py RUNTIME_YAML up|down|preview|delete [COMPONENT …]

What it prints last is JSON: what it did with each stack, the steps and, if it failed, the error.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelops.core.errors import ModelOpsError
from modelops.core.settings import Home
from modelops.core.shared_plugins import start_plugins
from modelops.infra.chain import StackChain
from modelops.providers.base import Component
from modelops.providers.kubernetes.provider import KubernetesProvider
from modelops.spec import compile_spec, load


def main(path: str, action: str, *names: str) -> None:
    """Do it."""
    plan = compile_spec(load(Path(path)), base=Path(path).parent, check_bundles=False)
    steps: list[str] = []
    provider = KubernetesProvider()
    start_plugins(provider.shared_plugins)
    chain = StackChain(plan, provider, Home.current(), steps.append)
    done: dict[str, Any] = {"changes": {}, "bindings": {}, "error": "", "steps": steps}
    try:
        for component in [Component(name) for name in names]:
            done["changes"][component.value] = dict(_do(chain, action, component, done))
    except ModelOpsError as error:
        done["error"] = str(error)
    sys.stdout.write(json.dumps(done))


def _do(
    chain: StackChain, action: str, component: Component, done: dict[str, Any]
) -> Mapping[str, int]:
    if action == "up":
        result = chain.up(component)
        done["bindings"] = result.bindings.to_json()
        return result.changes
    if action == "preview":
        return chain.preview(component)
    return chain.down(component)


if __name__ == "__main__":
    main(*sys.argv[1:])
