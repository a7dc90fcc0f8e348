"""`make dask-local` and `make dask-stop`: a scheduler and two workers here, for tests."""

import json
import sys
from pathlib import Path

from modelops.core.settings import Home
from modelops.providers.local.plugin import process
from modelops.services.dask_settings import (
    SCHEDULER_ENV,
    WORKER_ENV,
    scheduler_command,
    supervisor_command,
)

STATE = Path(".build/dask-local.json").absolute()
WORKERS = 2


def start() -> None:
    """Start both, wait until they are ready, print the scheduler's address."""
    if STATE.exists():
        stop()
    STATE.parent.mkdir(exist_ok=True)
    folder = STATE.parent / "dask-local"
    scheduler = process.start(
        "dask-local",
        "scheduler",
        {
            "command": scheduler_command("{port:scheduler}"),
            "env": dict(SCHEDULER_ENV),
            "root": str(folder),
            "log": str(folder / "scheduler.log"),
            "port_names": ["scheduler"],
            "ready": "port:scheduler",
        },
        {},
    )
    STATE.write_text(json.dumps([scheduler]))
    address = f"tcp://127.0.0.1:{scheduler['ports']['scheduler']}"
    workers = process.start(
        "dask-local",
        "workers",
        {
            "command": supervisor_command(
                "default", WORKERS, WORKERS, directory="{dir}", ready_file="{ready}"
            ),
            "env": {
                **WORKER_ENV,
                "DASK_SCHEDULER": address,
                "MODELOPS_HOME": str(Home.current().root),
            },
            "root": str(folder),
            "log": str(folder / "workers.log"),
            "ready": "file",
        },
        {},
    )
    STATE.write_text(json.dumps([scheduler, workers]))
    sys.stdout.write(f"{address}\n")


def stop() -> None:
    """End what `start` started; nothing to do is no error."""
    if not STATE.exists():
        return
    for state in reversed(json.loads(STATE.read_text())):
        process.end(state)
        process.remove(state)
    STATE.unlink()


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]]()
