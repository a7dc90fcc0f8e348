"""A plugin for an older ModelOps, whose providers had less to do."""


class Provider:
    """Has a name and a method."""

    name = "lacks"

    def compile(self, plan):
        """Do nothing."""
        raise NotImplementedError
