"""How processes end, in words."""

import signal


def describe_end(status: int) -> str:
    """Say how a process ended, of its exit status as Popen gives it: -9 for SIGKILL."""
    if status >= 0:
        return f"it ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    out_of_memory = ", as the system does when memory runs out" * (-status == signal.SIGKILL)
    return f"it was killed by {name}{out_of_memory}"
