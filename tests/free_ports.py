"""Ports of loopback for processes that tests start."""

from modelops.providers.local.plugin.ports import choose_ports


def free_port() -> int:
    """Return a port that nobody listens at, and that no other test gets by asking for any."""
    return choose_ports(["any"], {})["any"]
