"""Canonical JSON and the identities that are hashed from it."""

import hashlib
import json
import math
from collections.abc import Mapping

from modelops.contracts.errors import ContractError

Scalar = bool | int | float | str
"""What a parameter's value may be. The four kinds are kept apart: 1, 1.0, True and "1" differ."""

JSONValue = None | Scalar | list["JSONValue"] | tuple["JSONValue", ...] | Mapping[str, "JSONValue"]

_PARAM_NAMESPACE = b"contracts:param:v1|"


def canonical_json(value: JSONValue) -> bytes:
    """Encode a value so that equal values give equal bytes, on any machine.

    Keys are sorted by code point, separators are `,` and `:`, non-ASCII text is kept as UTF-8,
    -0.0 is written as 0.0. Floats are written in Python's shortest round-trip form.

    Raises:
        ContractError: for NaN, infinities, keys that aren't strings, lone surrogates and any type
            that isn't JSON.
    """
    normalized = _normalize(value, "$")
    text = json.dumps(normalized, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ContractError("text with a lone surrogate has no UTF-8 form") from error


def make_param_id(params: Mapping[str, Scalar]) -> str:
    """Return the identity of a parameter set: 64 lower-case hex digits.

    BLAKE2b with a 32-byte digest of `contracts:param:v1|` and the canonical JSON of the
    parameters, the definition of the published `modelops-contracts`.

    Raises:
        ContractError: if a value isn't a finite scalar or a name isn't text.
    """
    for name, value in params.items():
        check_scalar(name, value)
    return hashlib.blake2b(_PARAM_NAMESPACE + canonical_json(params), digest_size=32).hexdigest()


def check_scalar(name: object, value: object) -> None:
    """Raise ContractError unless `name` is text and `value` is a finite scalar."""
    if not isinstance(name, str):
        raise ContractError(f"a parameter's name must be text, not {name!r}")
    if not isinstance(value, (bool, int, float, str)):
        raise ContractError(
            f"parameter {name!r} is a {type(value).__name__}; it must be a bool, int, float or str"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError(f"parameter {name!r} is {value}; it must be finite")


def _normalize(value: object, path: str) -> object:
    if value is None or isinstance(value, bool):
        return value
    # A subclass (an enum, a NumPy scalar) may print itself in another way: use the plain type.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ContractError(f"{path} is {value}: JSON has no NaN and no infinities")
        return float(value) + 0.0
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ContractError(f"{path} has the key {key!r}: keys must be text")
        return {key: _normalize(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_normalize(item, f"{path}[{index}]") for index, item in enumerate(value)]
    raise ContractError(f"{path} is a {type(value).__name__}, which isn't JSON")
