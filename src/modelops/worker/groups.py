"""How Dask knows which group a worker belongs to."""

from collections.abc import Iterable

_PREFIX = "group-"


def group_resource(group: str) -> str:
    """Return the name of the Dask resource of which each worker of a group has one a slot.

    A task that belongs to the group asks for one, so that no worker of another group takes it.
    """
    return f"{_PREFIX}{group}"


def group_of(resources: Iterable[str]) -> str:
    """Return the group that a worker with these Dask resources belongs to; empty if to none."""
    found = (name for name in resources if name.startswith(_PREFIX))
    return next(found, "").removeprefix(_PREFIX)
