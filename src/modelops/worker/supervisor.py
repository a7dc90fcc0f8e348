r"""The supervisor of a group of Dask workers on this machine: it starts them again when they die.

    python -m modelops.worker.supervisor --scheduler tcp://127.0.0.1:8786 --min 2 --max 2 \
        --processes 1 --threads 1 --name default --ready-file PATH

Workers inherit its environment: Dask's settings (`services.dask_settings`), MODELOPS_HOME and
MODELOPS_BUNDLE_REGISTRY. They listen on loopback only, and end with the supervisor, however it
ends (`lifeline`).
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelops.worker.groups import group_resource
from modelops.worker.lifeline import LIFELINE_VARIABLE, end_with_starter
from modelops.worker.readiness import READY_VARIABLE

FIRST_DELAY = 0.25
"""Seconds before a worker that died soon after its start is started again; doubled each time."""
MAX_DELAY = 30.0
STEADY_SECONDS = 30.0
"""A worker that lived this long is started again without delay."""
GRACE_SECONDS = 10.0
"""How long a worker may take to end by itself."""
_READ_BYTES = 65_536

_log = logging.getLogger("modelops.worker.supervisor")


@dataclass(frozen=True)
class Group:
    """Which workers to keep.

    Attributes:
        scheduler: the address that they register with.
        workers: how many processes: replicas × processes a replica.
        threads: slots in each process.
        name: workers are called `{name}-{0, 1, …}`.
        local_directory: where Dask puts its files.
        ready_file: written once all workers have registered for the first time; JSON with the
            supervisor's `pid` and the `workers`' names.
    """

    scheduler: str
    workers: int
    threads: int
    name: str
    local_directory: Path
    ready_file: Path | None

    def worker_names(self) -> list[str]:
        """Return the workers' names."""
        return [f"{self.name}-{index}" for index in range(self.workers)]


class Supervisor:
    """Keeps a group's workers running until it's told to stop."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._missing = set(group.worker_names())
        self._stop = asyncio.Event()
        self._lifeline, self._lifeline_writer = os.pipe()
        self._ready, self._ready_writer = os.pipe()

    async def run(self) -> None:
        """Start the workers, restart those that die, and end them all when told to stop.

        To be called once, in the main thread: SIGTERM and SIGINT are what tells it.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._group.ready_file:
            self._group.ready_file.unlink(missing_ok=True)
        loop.add_reader(self._ready, self._read_names)
        if not self._missing:
            self._note_ready()
        async with asyncio.TaskGroup() as keepers:
            keepers.create_task(self._stop.wait())
            for name in self._group.worker_names():
                keepers.create_task(self._keep(name))

    async def _keep(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        delay = 0.0
        while not self._stop.is_set():
            started = loop.time()
            process = await self._start(name)
            stopped = asyncio.create_task(self._stop.wait())
            ended = asyncio.create_task(process.wait())
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not ended.done():
                await _end(process, ended)
                return
            lived = loop.time() - started
            delay = 0.0 if lived >= STEADY_SECONDS else min(max(2 * delay, FIRST_DELAY), MAX_DELAY)
            status = ended.result()
            _log.warning("worker %s ended (%s); starting it again in %g s", name, status, delay)
            try:
                await asyncio.wait_for(self._stop.wait(), delay)
            except TimeoutError:
                continue

    async def _start(self, name: str) -> Process:
        group = self._group
        environment = {
            **os.environ,
            LIFELINE_VARIABLE: str(self._lifeline),
            READY_VARIABLE: str(self._ready_writer),
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "distributed.cli.dask_worker", group.scheduler),
            *("--no-nanny", "--host", "127.0.0.1"),
            # Without a dashboard there is a server for health checks all the same, on all
            # interfaces unless it's told otherwise.
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
            *("--nthreads", str(group.threads), "--name", name),
            *("--resources", f"{group_resource(group.name)}={group.threads}"),
            # Dask would watch its own process, which holds no model.
            *("--memory-limit", "0"),
            *("--local-directory", str(group.local_directory)),
            *("--preload", "modelops.worker.preload"),
            stdin=asyncio.subprocess.DEVNULL,
            env=environment,
            pass_fds=(self._lifeline, self._ready_writer),
        )

    def _read_names(self) -> None:
        names = os.read(self._ready, _READ_BYTES).decode().split()
        for name in names:
            _log.info("worker %s has registered", name)
        if self._missing:
            self._missing.difference_update(names)
            if not self._missing:
                self._note_ready()

    def _note_ready(self) -> None:
        if self._group.ready_file:
            state = {"pid": os.getpid(), "workers": self._group.worker_names()}
            _write_atomically(self._group.ready_file, json.dumps(state))
        _log.info("all %d workers of %s have registered", self._group.workers, self._group.name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a supervisor as the command line says."""
    end_with_starter()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="Keeps a group of Dask workers running.")
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--min", type=_count, required=True, help="replicas at the least")
    parser.add_argument("--max", type=_count, required=True, help="replicas at the most")
    parser.add_argument("--processes", type=_count, default=1, help="processes in each replica")
    parser.add_argument("--threads", type=_count, default=1, help="threads in each process")
    parser.add_argument("--name", default="default", help="the group's name")
    parser.add_argument("--local-directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args(arguments)
    if options.max < options.min:
        parser.error(f"--max {options.max} is below --min {options.min}")
    if options.max != options.min:
        _log.warning(
            "groups don't scale yet: %d replicas are kept, not up to %d", options.min, options.max
        )
    group = Group(
        scheduler=options.scheduler,
        workers=options.min * options.processes,
        threads=options.threads,
        name=options.name,
        local_directory=options.local_directory,
        ready_file=options.ready_file,
    )
    asyncio.run(_supervise(group))


async def _supervise(group: Group) -> None:
    await Supervisor(group).run()


async def _end(process: Process, ended: asyncio.Task[int]) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(ended, GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    main()
