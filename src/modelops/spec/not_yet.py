"""Settings of the format that nothing reads yet: refused, never silently ignored.

This is the only list of them. When a plan can carry a setting and something reads it, its line
here goes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelops.spec.models import RuntimeSpec
from modelops.spec.problems import Finding, SpecPath
from modelops.spec.show import to_data

# Where `*` is any name: the only value that works so far, which is the default too.
_WORKS_WITH: dict[SpecPath, Any] = {
    ("algorithms", "*", "entrypoint", "module"): None,
}


def unsupported(spec: RuntimeSpec) -> Iterator[Finding]:
    """Yield each setting of the spec that isn't supported yet."""
    body = to_data(spec.spec)
    for pattern, only in _WORKS_WITH.items():
        for path, value in _matches(body, pattern):
            if value == only:
                continue
            message = "this isn't supported yet; nothing would read it"
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
