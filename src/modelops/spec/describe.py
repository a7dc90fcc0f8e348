"""A CompiledPlan as JSON."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from modelops.contracts import BundleRef, BundleTag, Execution, Limits, PublicKey, SearchSpace
from modelops.spec.plan import CompiledPlan


def plan_to_json(plan: CompiledPlan) -> dict[str, Any]:
    """Return the plan as JSON: the same plan gives the same text, in the order of the spec.

    Keys are the plan's own names; directories are absolute POSIX paths, bundle references their
    canonical text, a search space a list as in `SearchSpace.to_json`, a public key its fingerprint.
    """
    return {item.name: _plain(getattr(plan, item.name)) for item in fields(plan)}


def _plain(value: Any) -> Any:
    plain = value
    if isinstance(value, (BundleRef, BundleTag)):
        plain = str(value)
    elif isinstance(value, (SearchSpace, Execution, Limits)):
        plain = value.to_json()
    elif isinstance(value, PublicKey):
        plain = value.fingerprint
    elif isinstance(value, Path):
        plain = value.as_posix()
    elif is_dataclass(value):
        plain = {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    elif isinstance(value, Mapping):
        plain = {key: _plain(item) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        plain = [_plain(item) for item in value]
    return plain
