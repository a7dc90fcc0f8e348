"""The one error that a violated contract raises."""


class ContractError(ValueError):
    """A value doesn't keep a guarantee that `modelops.contracts` states."""
