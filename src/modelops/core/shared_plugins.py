"""Plugins of the engine that run once for a command, not once for each of its engine operations.

The engine starts the plugins that it needs and ends them with each operation. Ours is a Python
program whose start takes longer than a small operation, so a command starts it while it prepares,
and its engines attach to it (PULUMI_DEBUG_PROVIDERS).
"""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ATTACH_VARIABLE = "PULUMI_DEBUG_PROVIDERS"
"""What tells the engine of plugins that run already: `name:port`, with commas between."""

_END_SECONDS = 15.0

_started: dict[str, subprocess.Popen[str]] = {}
_ports: dict[str, int] = {}
_guard = threading.Lock()


def start_plugins(names: Iterable[str]) -> None:
    """Start plugins that don't run yet, and return without waiting for them."""
    with _guard:
        for name in names:
            program = _find(name)
            # One that isn't there is the engine's to find, or to complain about.
            if name not in _started and program is not None:
                _started[name] = subprocess.Popen(
                    [program, "shared"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    text=True,
                    # An interrupt on a terminal isn't for it: the engine's operation goes on.
                    process_group=0,
                )


def attachments() -> str:
    """Return what to tell an engine: which plugins run, and where; empty if none does."""
    with _guard:
        for name, process in tuple(_started.items()):
            if name not in _ports and process.stdout is not None:
                line = process.stdout.readline().strip()
                if line.isdigit():
                    _ports[name] = int(line)
            if process.poll() is not None:
                # The engine then starts one by itself.
                _ports.pop(name, None)
                _close(_started.pop(name))
        return ",".join(f"{name}:{port}" for name, port in sorted(_ports.items()))


def end_plugins() -> None:
    """End the plugins that were started here, each with what it was starting at that moment."""
    with _guard:
        for process in _started.values():
            process.terminate()
        for process in _started.values():
            _close(process)
        _started.clear()
        _ports.clear()


def _close(process: subprocess.Popen[str]) -> None:
    with process:
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)


def _find(name: str) -> str | None:
    program = f"pulumi-resource-{name}"
    beside = script_folder() / program
    return str(beside) if beside.exists() else shutil.which(program)


def script_folder() -> Path:
    """Return where our programs are installed: beside the interpreter that runs us."""
    return Path(sys.executable).parent
