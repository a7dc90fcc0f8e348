"""Amounts of CPU and memory as Kubernetes writes them. Pure."""

from collections.abc import Mapping
from typing import Any

# The API server writes a quantity anew in the largest unit of its own kind; another spelling would
# be a change at each `up`.
_BINARY = (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024))
_DECIMAL = (("T", 1000**4), ("G", 1000**3), ("M", 1000**2), ("k", 1000))


def cpu_quantity(cores: float) -> str:
    """Return cores, exact to a thousandth and never nothing: `4`, `500m`."""
    thousandths = max(1, round(cores * 1000))
    whole, rest = divmod(thousandths, 1000)
    return f"{thousandths}m" if rest else str(whole)


def memory_quantity(size: int) -> str:
    """Return bytes, with the largest unit of which it is a whole number: `16Gi`."""
    units = (*_BINARY, *_DECIMAL)
    return next((f"{size // of}{unit}" for unit, of in units if size % of == 0), str(size))


def resources(
    cpu: float | None, memory: int | None, more: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what a container asks for, and its limits.

    Memory is asked for as much as it may have, so that a node never promises more than it has. CPU
    has no limit: what nobody else needs may be used.

    Args:
        cpu: in cores; None to ask for nothing.
        memory: in bytes; None for no limit.
        more: what has to be a limit as well, as GPUs: resource → quantity.
    """
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if cpu is not None:
        requests["cpu"] = cpu_quantity(cpu)
    if memory is not None:
        requests["memory"] = limits["memory"] = memory_quantity(memory)
    for name, quantity in (more or {}).items():
        requests[name] = limits[name] = quantity
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
