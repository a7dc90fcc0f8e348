"""Settings of the format that nothing reads yet: refused, never silently ignored.

This is the only list of them. When a plan can carry a setting and something reads it, its line
here goes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelops.spec.models import RuntimeSpec
from modelops.spec.problems import Finding, SpecPath
from modelops.spec.show import to_data

_LOCAL = "local"

# Where `*` is any name: the only value that works so far, which is the default too.
_EVERYWHERE: dict[SpecPath, Any] = {
    ("databases", "*", "external"): None,
    ("algorithms", "*", "parameters", "order"): "ask",
    ("algorithms", "*", "execution", "isolation"): "warm",
    ("algorithms", "*", "execution", "environment"): "layered",
    ("algorithms", "*", "execution", "keepOutputs"): True,
    ("algorithms", "*", "execution", "profile"): False,
    ("algorithms", "*", "limits", "task_memory"): None,
    ("algorithms", "*", "limits", "run_timeout"): None,
    ("algorithms", "*", "limits", "max_cost"): None,
    ("algorithms", "*", "limits", "target_loss"): None,
    ("algorithms", "*", "limits", "patience"): None,
    ("algorithms", "*", "entrypoint", "module"): None,
    ("algorithms", "*", "entrypoint", "require_signature"): None,
}

# What has no meaning on one machine, so that `local` passes over it and a file made for a cluster
# can be tried out there; on every other provider it would be lost.
_ON_CLUSTERS: dict[SpecPath, Any] = {
    ("databases", "*", "size"): None,
    ("databases", "*", "containerized"): False,
    ("workerGroups", "*", "kind"): None,
    ("workerGroups", "*", "profile"): None,
    ("workerGroups", "*", "spot"): False,
    ("workerGroups", "*", "image"): None,
    ("workerGroups", "*", "gpu"): None,
}


def unsupported(spec: RuntimeSpec) -> Iterator[Finding]:
    """Yield each setting of the spec that isn't supported yet."""
    provider = spec.spec.provider.name
    body = to_data(spec.spec)
    works_with = _EVERYWHERE if provider == _LOCAL else {**_EVERYWHERE, **_ON_CLUSTERS}
    for pattern, only in works_with.items():
        for path, value in _matches(body, pattern):
            if value == only:
                continue
            where = "" if pattern in _EVERYWHERE else f" on the provider {provider}"
            message = f"this isn't supported yet{where}; nothing would read it"
            suggestion = (
                "Remove the key." if only is None else f"Only {_written(only)} works so far."
            )
            yield Finding(("spec", *path), message, suggestion)


def _matches(data: Any, pattern: SpecPath) -> Iterator[tuple[SpecPath, Any]]:
    if not pattern:
        yield (), data
    elif isinstance(data, Mapping):
        first, *rest = pattern
        for key in data if first == "*" else [first]:
            if key in data:
                for path, value in _matches(data[key], tuple(rest)):
                    yield (key, *path), value


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
