"""A resource's state: the live object as its outputs, and beside it what it was made of."""

from dataclasses import dataclass

from pulumi.provider.experimental.property_value import PropertyValue

from kubernetes_provider.properties import Object, Properties, marked, plain

_INPUTS = "__inputs"
_API_VERSION = "__initialApiVersion"
_MANAGER = "__fieldManager"


@dataclass(frozen=True)
class State:
    """What the engine keeps of a resource.

    Attributes:
        live: the object as the server last showed it.
        inputs: what the program asked for.
        manager: the field manager that applies it; empty if none has been chosen.
        api_version: the one that it was made with.
    """

    live: Object
    inputs: Object
    manager: str
    api_version: str

    @classmethod
    def of(cls, properties: Properties) -> "State":
        live = plain(properties)
        inputs = live.pop(_INPUTS, {})
        api_version = live.pop(_API_VERSION, inputs.get("apiVersion", ""))
        return cls(live, inputs, live.pop(_MANAGER, ""), api_version)

    def properties(self, given: Properties) -> Properties:
        """Return it for the engine, with secrets where those that were given have them."""
        inputs = PropertyValue(marked(self.inputs, given))
        return {
            **marked(self.live, given),
            _INPUTS: inputs,
            _API_VERSION: PropertyValue(self.api_version),
            _MANAGER: PropertyValue(self.manager),
        }
