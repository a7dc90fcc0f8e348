"""The Random resource: a value that is made once and stays, whatever else changes.

Inputs:
    length: how many characters, at least 1, of a secret at least 16.
    kind: `name` (lower-case letters and digits, a letter first) or `password` (letters and digits,
        so that it needs no quoting in a URL, a file or a shell).
    secret: whether the value is marked as a secret in the state.

Outputs: the inputs, and
    value: other inputs give another value; nothing else does.
"""

import secrets
import string
from collections.abc import Mapping
from typing import Any

INPUTS: tuple[str, ...] = ("length", "kind", "secret")
OUTPUTS: tuple[str, ...] = ("value",)
SECRETS: frozenset[str] = frozenset()
_SHORTEST_SECRET = 16
_FIRST = {"name": string.ascii_lowercase, "password": string.ascii_letters + string.digits}
_REST = {
    "name": string.ascii_lowercase + string.digits,
    "password": string.ascii_letters + string.digits,
}


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    found = {name: "isn't a property of Random" for name in inputs if name not in INPUTS}
    if inputs.get("kind") not in _FIRST:
        found["kind"] = f"must be one of {', '.join(_FIRST)}"
    is_secret, length = inputs.get("secret"), inputs.get("length")
    if not isinstance(is_secret, bool):
        found |= {"secret": "must be true or false"}
    least = _SHORTEST_SECRET if is_secret else 1
    if not isinstance(length, int) or isinstance(length, bool) or length < least:
        found["length"] = f"must be a whole number, at least {least}"
    return found


def changes(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the inputs that differ."""
    return [name for name in INPUTS if state.get(name) != inputs.get(name)]


def foreseen(inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value if there is one already that stays."""
    return {} if not old or changes(old, inputs) else {"value": old["value"]}


def secret_outputs(inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return `value` if it is to be a secret."""
    return frozenset({"value"}) if inputs.get("secret") else frozenset()


def make(
    _urn: str, _name: str, inputs: Mapping[str, Any], old: Mapping[str, Any]
) -> dict[str, Any]:
    """Choose the value, or keep the one that there is, and return the state."""
    kept = foreseen(inputs, old)
    if kept:
        return {**inputs, **kept}
    kind = inputs["kind"]
    rest = "".join(secrets.choice(_REST[kind]) for _ in range(inputs["length"] - 1))
    return {**inputs, "value": secrets.choice(_FIRST[kind]) + rest}


def refreshed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state as it is: there is nothing to look at."""
    return dict(state)


def remove(_state: Mapping[str, Any]) -> None:
    """Do nothing: the value is in the state alone."""
