"""Inputs in the form in which the API server gives them back, so that the two can be compared."""

import base64
import binascii
import copy
from decimal import Decimal, InvalidOperation
from typing import Any

from kubernetes_provider.objects import kind_of
from kubernetes_provider.properties import Object, holds_unknown

_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_MAPS = {
    "annotations", "binaryData", "data", "labels", "limits", "matchLabels", "nodeSelector",
    "requests", "stringData",
}  # fmt: skip
_MAY_BE_EMPTY = {"rules"}
# Maps whose values are quantities, wherever they stand in an object.
_QUANTITIES = {
    "capacity", "default", "defaultRequest", "hard", "limits", "max", "maxLimitRequestRatio", "min",
    "requests",
}  # fmt: skip
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18),
}  # fmt: skip
_BINARY = {suffix + "i": 1024**power for power, suffix in enumerate("KMGTPE", start=1)}


def normal(item: Object) -> Object:
    """Return an input in the form in which the server gives it back, so that it can be compared.

    What isn't known yet leaves it as it is, but for the fields that nobody may set.
    """
    done = copy.deepcopy(item)
    if not holds_unknown(item):
        if kind_of(item) == ("v1", "Secret"):
            _normalise_secret(done)
        if _is_built_in(item):
            done = _without_nothing(done)
            _normalise_quantities(done)
    for name in _READ_ONLY:
        (done.get("metadata") or {}).pop(name, None)
    return done


def canonical_quantity(given: str | int | float) -> str:
    """Return a quantity as the API server writes it: `1000m` is `1`, `1024Mi` is `1Gi`.

    Rules: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/. What
    isn't a quantity is returned as it is: refusing it is the server's part.
    """
    text = str(given).strip()
    number = text.rstrip("inumkKMGTPE")
    suffix = text[len(number) :]
    try:
        amount = Decimal(number)
    except InvalidOperation:
        return text
    if "e" in number.lower():
        return text
    if suffix in _BINARY:
        return _binary(amount * _BINARY[suffix])
    if suffix not in _SUFFIXES or not amount.is_finite():
        return text
    return _decimal(amount * _SUFFIXES[suffix])


def _without_nothing(value: Any) -> Any:
    """Return a value without nulls, empty lists and empty maps of texts, which the server drops."""
    if isinstance(value, list):
        return [_without_nothing(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_nothing(inner) for name, inner in value.items() if inner is not None}
    return {
        name: inner
        for name, inner in kept.items()
        if not (inner == [] and name not in _MAY_BE_EMPTY) and not (inner == {} and name in _MAPS)
    }


def _is_built_in(item: Object) -> bool:
    group, _, _ = item.get("apiVersion", "").rpartition("/")
    return "." not in group or group.endswith(".k8s.io")


def _binary(amount: Decimal) -> str:
    if amount == 0:
        return "0"
    if amount != amount.to_integral_value() or abs(amount) < 1024:
        return _decimal(amount)
    for suffix, factor in reversed(_BINARY.items()):
        if amount % factor == 0:
            return f"{int(amount / factor)}{suffix}"
    return str(int(amount))


def _decimal(amount: Decimal) -> str:
    for suffix, factor in reversed(_SUFFIXES.items()):
        scaled = amount / factor
        if scaled == scaled.to_integral_value() and (scaled != 0 or suffix == ""):
            return f"{int(scaled)}{suffix}"
    return str(amount)


def _normalise_quantities(item: Any) -> None:
    for name, value in item.items() if isinstance(item, dict) else enumerate(item):
        if name in _QUANTITIES and isinstance(value, dict):
            for key, quantity in value.items():
                if isinstance(quantity, (str, int, float)) and not isinstance(quantity, bool):
                    value[key] = canonical_quantity(quantity)
        elif name == "sizeLimit" and isinstance(value, (str, int)):
            item[name] = canonical_quantity(value)
        elif isinstance(value, (dict, list)):
            _normalise_quantities(value)


def _normalise_secret(item: Object) -> None:
    """Move stringData into data, which is what the server does."""
    data = dict(item.get("data") or {})
    for key, value in data.items():
        try:
            data[key] = base64.b64encode(base64.b64decode(value)).decode()
        except (binascii.Error, ValueError, TypeError):
            # The server refuses it, and says so.
            continue
    for key, value in (item.pop("stringData", None) or {}).items():
        data[key] = base64.b64encode(str(value).encode()).decode()
    if data:
        item["data"] = data
