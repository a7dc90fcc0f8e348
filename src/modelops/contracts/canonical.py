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
    text = _encode(_normalize(value, "$"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ContractError("text with a lone surrogate has no UTF-8 form") from error


def canonical_params(params: Mapping[str, Scalar]) -> bytes:
    """Encode parameters as `canonical_json` does, and check them; a fifth of its time.

    Raises:
        ContractError: if a value isn't a finite scalar or a name isn't text.
    """
    plain: dict[str, Scalar] = {}
    for name, value in params.items():
        kind = type(value)
        if type(name) is str and kind in _PLAIN:
            # -0.0 becomes 0.0; what isn't finite, the encoder refuses.
            plain[name] = value or kind()
        else:
            check_scalar(name, value)
            return canonical_json(params)
    try:
        return _encode(plain).encode()
    except (TypeError, ValueError) as error:
        for name, value in params.items():
            check_scalar(name, value)
        # A lone surrogate, or an integer of more digits than Python writes.
        raise ContractError(f"a parameter has no JSON form: {error}") from error


_PLAIN: frozenset[type[Scalar]] = frozenset((bool, int, float, str))
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def make_param_id(params: Mapping[str, Scalar]) -> str:
    """Return the identity of a parameter set: 64 lower-case hex digits.

    BLAKE2b with a 32-byte digest of `contracts:param:v1|` and the canonical JSON of the
    parameters, the definition of the published `modelops-contracts`.

    Raises:
        ContractError: if a value isn't a finite scalar or a name isn't text.
    """
    text = _PARAM_NAMESPACE + canonical_params(params)
    return hashlib.blake2b(text, digest_size=32).hexdigest()


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


_AS_IT_IS: frozenset[type] = frozenset((bool, int, str, type(None)))
"""What most values are, and needn't be looked at more closely."""


def _normalize(value: object, path: str) -> object:
    if type(value) in _AS_IT_IS:
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
    if isinstance(value, (list, tuple)):
        return [
            item if type(item) in _AS_IT_IS else _normalize(item, f"{path}[{index}]")
            for index, item in enumerate(value)
        ]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ContractError(f"{path} has the key {key!r}: keys must be text")
        return {
            key: item if type(item) in _AS_IT_IS else _normalize(item, f"{path}.{key}")
            for key, item in value.items()
        }
    raise ContractError(f"{path} is a {type(value).__name__}, which isn't JSON")
