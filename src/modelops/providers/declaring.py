"""Declaring a stack's components in order, each with what those before it handed on."""

from collections.abc import Callable, Mapping
from functools import reduce

import pulumi

from modelops.contracts import BindingOutputs
from modelops.core.errors import ProviderError
from modelops.providers.base import DATABASE_BINDING, ResourcePlan, StackPlan

Bindings = pulumi.Output[BindingOutputs]
Declare = Callable[[ResourcePlan, Bindings], Bindings]
"""Declares a component, given what is known by then, and returns what it hands on."""


def declare_components(
    stack: StackPlan, upstream: BindingOutputs, components: Mapping[str, Declare]
) -> Bindings:
    """Declare the stack's components in order; `components` has each type's.

    Raises:
        ProviderError: if a component needs what nothing hands on.
    """
    _require_needs(stack, upstream)
    declared: list[Bindings] = []
    for resource in stack.resources:
        known = _merged([pulumi.Output.from_input(upstream), *declared])
        declared.append(components[resource.type](resource, known))
    return _merged(declared)


def needed(resource: ResourcePlan, known: Bindings) -> Bindings:
    """Return those of the known bindings that a component reads; none are missing."""
    return known.apply(lambda bindings: _only(resource.needs, bindings))


def as_the_run_knows_them(bindings: BindingOutputs) -> BindingOutputs:
    """Call the run's own database DATABASE_URL, whichever of the spec's it is bound to."""

    def own(name: str) -> str:
        return "DATABASE_URL" if name.startswith(DATABASE_BINDING) else name

    return BindingOutputs(
        env={own(name): value for name, value in bindings.env.items()},
        secrets={own(name): ref for name, ref in bindings.secrets.items()},
    )


def _require_needs(stack: StackPlan, upstream: BindingOutputs) -> None:
    """Check that every component gets the bindings that it reads, before any is declared."""
    known = {*upstream.env, *upstream.secrets}
    for resource in stack.resources:
        for name in resource.needs:
            if name not in known:
                raise ProviderError(
                    f"{resource.name} needs {name}, which no stack that is up hands on.",
                    hint="Bring all stacks up as the spec is now: mops up",
                )
        known.update(resource.gives)


def _only(names: tuple[str, ...], bindings: BindingOutputs) -> BindingOutputs:
    return BindingOutputs(
        env={name: value for name, value in bindings.env.items() if name in names},
        secrets={name: ref for name, ref in bindings.secrets.items() if name in names},
    )


def _merged(bindings: list[Bindings]) -> Bindings:
    return pulumi.Output.all(*bindings).apply(
        lambda all_of: reduce(BindingOutputs.merged, all_of, BindingOutputs())
    )
