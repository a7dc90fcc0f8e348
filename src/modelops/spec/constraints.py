"""The constraints of an entrypoint against its space: names, kinds, whether a point is left."""

from collections.abc import Iterator

from modelops.contracts import Constraint, ContractError, SearchSpace
from modelops.contracts.space import FEASIBLE_DRAWS
from modelops.core.near_miss import did_you_mean
from modelops.spec.models import Entrypoint
from modelops.spec.problems import Finding, SpecPath


def search_space(entrypoint: Entrypoint) -> SearchSpace:
    """Return the space of an entrypoint of which `constraint_findings` finds nothing."""
    return SearchSpace(
        {name: entry.parameter() for name, entry in entrypoint.space.items()},
        tuple(map(Constraint, entrypoint.constraints)),
    )


def constraint_findings(entrypoint: Entrypoint, at: SpecPath) -> Iterator[Finding]:
    """Yield what is wrong with the constraints of the entrypoint at `at`."""
    if not entrypoint.constraints:
        return
    space = SearchSpace({name: entry.parameter() for name, entry in entrypoint.space.items()})
    sound = True
    for index, text in enumerate(entrypoint.constraints):
        constraint = Constraint(text)
        try:
            SearchSpace(space.parameters, (constraint,))
        except ContractError as error:
            unknown = sorted(constraint.names - space.parameters.keys())
            suggestion = did_you_mean(unknown[0], space.parameters) if unknown else ""
            yield Finding((*at, "constraints", index), str(error), suggestion)
            sound = False
    if sound:
        try:
            search_space(entrypoint).middle()
        except ContractError:
            message = f"of {FEASIBLE_DRAWS:,} points of the space, they allow none"
            suggestion = (
                "Narrow the ranges to where the constraints hold. Instead of a constraint with == "
                "let the model compute one parameter from the others."
            )
            yield Finding((*at, "constraints"), message, suggestion)
