"""How a worker is told to retire; who tells it has no need of Dask for that."""

import signal

RETIRE_OPERATION = "modelops_retire"
"""The message that has a worker take no more work, and stay until the signal comes."""
RETIRE_SIGNAL = signal.SIGUSR1
"""A worker that can't hear of it yet ends by it, and has nothing to lose."""
