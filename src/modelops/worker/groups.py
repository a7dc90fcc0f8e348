"""How Dask knows which group a worker belongs to."""


def group_resource(group: str) -> str:
    """Return the name of the Dask resource of which each worker of a group has one a slot.

    A task that belongs to the group asks for one, so that no worker of another group takes it.
    """
    return f"group-{group}"
