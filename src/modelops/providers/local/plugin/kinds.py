"""The kinds of resources that the plugin knows; each is a module with the same few functions."""

from collections.abc import Mapping
from typing import Any, Protocol

from modelops.providers.local.plugin import (
    certificate,
    directory,
    pem_certificate,
    process,
    random_value,
    secret_file,
)

Values = Mapping[str, Any]


class Kind(Protocol):
    """What one kind of resource is and does; a state is its outputs, inputs and state are plain."""

    INPUTS: tuple[str, ...]
    """What a program gives."""

    OUTPUTS: tuple[str, ...]
    """What is found out when it's made, beside what was given."""

    SECRETS: frozenset[str]
    """Inputs that are secret whether the program marked them or not."""

    def problems(self, inputs: Values, /) -> dict[str, str]:
        """Return what is wrong with the inputs: property → reason."""

    def changes(self, state: Values, inputs: Values, /) -> list[str]:
        """Return the properties by which it must be made again; the machine is looked at."""

    def foreseen(self, inputs: Values, old: Values, /) -> dict[str, Any]:
        """Return what is known of the outputs before it's made; `old` is empty the first time."""

    def secret_outputs(self, inputs: Values, /) -> frozenset[str]:
        """Return the names of the outputs that are secret."""

    def make(self, urn: str, name: str, inputs: Values, old: Values, /) -> dict[str, Any]:
        """Make it, in place of the old one if there is one, and return its state."""

    def refreshed(self, state: Values, /) -> dict[str, Any]:
        """Return the state as it is now."""

    def remove(self, state: Values, /) -> None:
        """Remove it."""


# The order matters to `kind_of_state`: the one with more outputs of its own first.
KINDS: Mapping[str, Kind] = {
    "modelops:index:Process": process,
    "modelops:index:Certificate": certificate,
    "modelops:index:PemCertificate": pem_certificate,
    "modelops:index:SecretFile": secret_file,
    "modelops:index:Directory": directory,
    "modelops:index:Random": random_value,
}


def kind_of_type(resource_type: str) -> Kind:
    """Return the kind by a resource's type; those of its parents may precede it (`parent$own`)."""
    return KINDS[resource_type.rsplit("$", 1)[-1]]


def kind_of_state(state: Values) -> Kind | None:
    """Return the kind of a resource by its outputs; None if it isn't one of the plugin's."""
    return next((kind for kind in KINDS.values() if state.keys() >= set(kind.OUTPUTS)), None)
