"""Reading what earlier components handed on."""

import pulumi

from modelops.contracts import BindingOutputs
from modelops.core.errors import ProviderError
from modelops.providers.base import ResourcePlan

Bindings = pulumi.Output[BindingOutputs]


def needed_env(resource: ResourcePlan, known: Bindings) -> dict[str, pulumi.Output[str]]:
    """Return the environment variables that a component reads from the bindings.

    Raises:
        ProviderError: when they are resolved, if no earlier component handed one on.
    """

    def one(name: str) -> pulumi.Output[str]:
        return known.apply(lambda bindings: _env(bindings, name))

    return {name: one(name) for name in resource.needs}


def _env(bindings: BindingOutputs, name: str) -> str:
    if name not in bindings.env:
        raise ProviderError(f"Nothing handed on {name}.", hint="Bring all stacks up: mops up")
    return bindings.env[name]
