"""What goes wrong with a test cluster."""


class ClusterError(Exception):
    """A cluster can't be started, used or stopped; the message says why and what to do."""
