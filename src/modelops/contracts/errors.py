"""What a violated contract raises."""


class ContractError(ValueError):
    """A value doesn't keep a guarantee that `modelops.contracts` states."""


class SnapshotError(ContractError):
    """A snapshot can't be made or restored; the calls that it stood for can be made instead."""
