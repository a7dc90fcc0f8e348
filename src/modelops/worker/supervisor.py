r"""The supervisor of a group of Dask workers, or of a pod: it starts them again when they die.

    DASK_SCHEDULER=tls://127.0.0.1:8786 python -m modelops.worker.supervisor --min 0 --max 2 \
        --processes 1 --threads 1 --name default --ready-file PATH

Where --max is above --min, it follows the load that the scheduler tells it (`group_load`). Workers
inherit its environment: Dask's settings (`services.dask_settings`), MODELOPS_HOME and
MODELOPS_BUNDLE_REGISTRY. They listen on --host, which is loopback unless it's given, and end with
the supervisor, however it ends (`lifeline`).

The first SIGTERM or SIGINT has the workers retire (`retirement`) within --grace-seconds: what they
run they finish, and nothing is lost. A second one, or the end of that time, ends them at once.
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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelops.core.backoff import Backoff
from modelops.core.errors import ModelOpsError
from modelops.core.logs import log_to_stderr
from modelops.core.metrics_server import Health, loop_answers
from modelops.worker.group_metrics import GroupMetrics
from modelops.worker.groups import group_resource
from modelops.worker.lifeline import LIFELINE_VARIABLE, end_with_starter
from modelops.worker.readiness import READY_VARIABLE
from modelops.worker.retire_signal import RETIRE_SIGNAL
from modelops.worker.scaling import Scaling, free_numbers, replicas_to_end

if TYPE_CHECKING:
    from modelops.worker.group_load import GroupLoads

SCHEDULER_VARIABLE = "DASK_SCHEDULER"
"""The environment variable with the address of the scheduler."""
IDLE_SECONDS = 30.0
"""How long a replica isn't needed before it's ended, unless --idle-seconds says otherwise."""
END_SECONDS = 10.0
"""How long a worker may take to end that isn't to finish anything."""
_LOOK_SECONDS = 1.0
_READ_BYTES = 65_536

_log = logging.getLogger("modelops.worker.supervisor")


@dataclass(frozen=True)
class Group:
    """Which workers to keep.

    Attributes:
        scheduler: the address that they register with.
        minimum: the fewest replicas.
        maximum: the most replicas.
        processes: workers in each replica.
        threads: slots in each worker.
        idle_seconds: how long a replica isn't needed before it's ended.
        name: the group's name.
        worker_name: workers are called `{worker_name}-{0, 1, …}`.
        host: the address that they listen on, and that others reach them at.
        grace_seconds: how long they may go on with what they run when they have to go.
        local_directory: where Dask puts its files.
        ready_file: written once the workers of the fewest replicas have registered for the first
            time; JSON with the supervisor's `pid` and those `workers`' names.
    """

    scheduler: str
    minimum: int
    maximum: int
    processes: int
    threads: int
    idle_seconds: float
    name: str
    worker_name: str
    host: str
    grace_seconds: float
    local_directory: Path
    ready_file: Path | None

    def worker_names(self, replica: int) -> list[str]:
        """Return the names of a replica's workers; replicas are numbered from 0."""
        first = replica * self.processes
        return [f"{self.worker_name}-{first + index}" for index in range(self.processes)]


class Supervisor:
    """Keeps a group's workers running until it's told to stop."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._first = [
            name for replica in range(group.minimum) for name in group.worker_names(replica)
        ]
        self._missing = set(self._first)
        self._registered: set[str] = set()
        self._metrics = GroupMetrics()
        self._replicas: dict[int, _Replica] = {}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._lifeline, self._lifeline_writer = os.pipe()
        self._ready, self._ready_writer = os.pipe()

    async def run(self) -> None:
        """Keep as many workers as are needed, and end them all when told to stop.

        To be called once, in the main thread: SIGTERM and SIGINT are what tells it.

        Raises:
            ServiceError: if the scheduler can't tell the group's load.
            UsageError: if metrics are to be served and can't be.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        if self._group.ready_file:
            self._group.ready_file.unlink(missing_ok=True)
        loop.add_reader(self._ready, self._read_names)
        health = Health(lambda: loop_answers(loop), self._why_not_ready)
        self._metrics.serve(health, lambda: len(self._registered))
        if not self._missing:
            self._note_ready()
        async with asyncio.TaskGroup() as tasks:
            self._add(self._group.minimum, tasks)
            following = tasks.create_task(self._follow_load(tasks))
            await self._stop.wait()
            following.cancel()
            for replica in self._replicas.values():
                replica.stop.set()
        self._metrics.close()

    def _why_not_ready(self) -> str:
        if self._stop.is_set():
            return "its workers are ending"
        missing = sorted(set(self._first) - self._registered)
        return f"not registered with the scheduler: {', '.join(missing)}" if missing else ""

    def _end(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _add(self, count: int, tasks: asyncio.TaskGroup) -> None:
        for number in free_numbers(set(self._replicas), count):
            names = self._group.worker_names(number)
            stop = asyncio.Event()
            keepers = [tasks.create_task(self._keep(name, stop)) for name in names]
            self._replicas[number] = _Replica(names, stop, asyncio.gather(*keepers))

    async def _follow_load(self, tasks: asyncio.TaskGroup) -> None:
        if self._group.maximum == self._group.minimum:
            return
        # Workers of a fixed number need no Dask in this process.
        from modelops.worker.group_load import GroupLoads  # noqa: PLC0415

        group = self._group
        slots = group.processes * group.threads
        scaling = Scaling(group.minimum, group.maximum, slots, group.idle_seconds)
        async with GroupLoads(group.scheduler) as loads:
            is_away = False
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                try:
                    await self._scale(scaling, loads, tasks)
                    is_away = False
                except OSError as error:
                    # Whatever runs goes on: the scheduler comes back, and its work with it.
                    if not is_away:
                        _log.warning("the scheduler doesn't tell the load: %s", error)
                    is_away = True

    async def _scale(self, scaling: Scaling, loads: "GroupLoads", tasks: asyncio.TaskGroup) -> None:
        load, running = await loads.load(self._group.name)
        target = scaling.target(asyncio.get_running_loop().time(), load)
        kept = {
            number: replica.names
            for number, replica in self._replicas.items()
            if not replica.stop.is_set()
        }
        if target > len(kept):
            _log.info("%d tasks: %d replicas, up from %d", load, target, len(kept))
            self._add(target - len(kept), tasks)
        for number in replicas_to_end(kept, running, target):
            registered = running.keys() & kept[number]
            # Those that aren't registered have nothing to lose.
            if not registered or registered <= await loads.retire(sorted(registered)):
                _log.info("%d tasks: replica %d isn't needed", load, number)
                self._end_replica(number)

    def _end_replica(self, number: int) -> None:
        replica = self._replicas[number]
        replica.stop.set()
        # Until then its workers' names are taken.
        replica.ended.add_done_callback(lambda _: self._replicas.pop(number))

    async def _keep(self, name: str, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        while not stop.is_set():
            started = loop.time()
            process = await self._start(name)
            stopped = asyncio.create_task(stop.wait())
            ended = asyncio.create_task(process.wait())
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            is_told = not ended.done()
            if is_told:
                await self._retire(process, ended)
            self._registered.discard(name)
            self._metrics.worker_ended(process.pid)
            if is_told:
                return
            delay = backoff.after(loop.time() - started)
            status = ended.result()
            _log.warning("worker %s ended (%s); starting it again in %g s", name, status, delay)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay)
            if not stop.is_set():
                self._metrics.worker_restarted()

    async def _retire(self, process: Process, ended: asyncio.Task[int]) -> None:
        """Let a worker finish what it runs, for as long as it may; then end it."""
        if self._group.grace_seconds > 0 and not self._hurry.is_set():
            with suppress(ProcessLookupError):
                process.send_signal(RETIRE_SIGNAL)
            hurry = asyncio.create_task(self._hurry.wait())
            done, _ = await asyncio.wait(
                {ended, hurry},
                timeout=self._group.grace_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            hurry.cancel()
            if not done:
                _log.warning("a worker still runs something; its time is over")
        if not ended.done():
            await _end(process, ended)

    async def _start(self, name: str) -> Process:
        group = self._group
        environment = {
            **os.environ,
            **self._metrics.environment,
            LIFELINE_VARIABLE: str(self._lifeline),
            READY_VARIABLE: str(self._ready_writer),
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "distributed.cli.dask_worker", group.scheduler),
            *("--no-nanny", "--host", group.host),
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
        self._registered.update(names)
        for name in names:
            _log.info("worker %s has registered", name)
        if self._missing:
            self._missing.difference_update(names)
            if not self._missing:
                self._note_ready()

    def _note_ready(self) -> None:
        if self._group.ready_file:
            state = {"pid": os.getpid(), "workers": self._first}
            _write_atomically(self._group.ready_file, json.dumps(state))
        _log.info("all %d workers of %s have registered", len(self._first), self._group.name)


@dataclass(frozen=True)
class _Replica:
    """Workers that come and go together; `ended` is done once `stop` is set and they are gone."""

    names: list[str]
    stop: asyncio.Event
    ended: "asyncio.Future[list[None]]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a supervisor as the command line says."""
    end_with_starter()
    log_to_stderr()
    parser = argparse.ArgumentParser(description="Keeps a group of Dask workers running.")
    parser.add_argument("--min", type=_count, required=True, help="replicas at the least")
    parser.add_argument("--max", type=_count, required=True, help="replicas at the most")
    parser.add_argument("--processes", type=_count, default=1, help="processes in each replica")
    parser.add_argument("--threads", type=_count, default=1, help="threads in each process")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    parser.add_argument("--name", default="default", help="the group's name")
    parser.add_argument("--worker-name", help="workers are called NAME-0, … (default: the group)")
    parser.add_argument("--host", default="127.0.0.1", help="the address that workers listen on")
    parser.add_argument(
        "--grace-seconds",
        type=_seconds,
        default=0.0,
        help="how long workers that have to go may finish what they run",
    )
    parser.add_argument("--local-directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args(arguments)
    if options.max < options.min:
        parser.error(f"--max {options.max} is below --min {options.min}")
    scheduler = os.environ.get(SCHEDULER_VARIABLE)
    if not scheduler:
        parser.error(f"the environment lacks {SCHEDULER_VARIABLE}, the scheduler's address")
    group = Group(
        scheduler=scheduler,
        minimum=options.min,
        maximum=options.max,
        processes=options.processes,
        threads=options.threads,
        idle_seconds=options.idle_seconds,
        name=options.name,
        worker_name=options.worker_name or options.name,
        host=options.host,
        grace_seconds=options.grace_seconds,
        local_directory=options.local_directory,
        ready_file=options.ready_file,
    )
    failures: list[BaseException] = []
    try:
        asyncio.run(_supervise(group))
    except* ModelOpsError as errors:
        failures.extend(errors.exceptions)
    for failure in failures:
        _log.error("%s", failure)
    sys.exit(1 if failures else 0)


async def _supervise(group: Group) -> None:
    await Supervisor(group).run()


async def _end(process: Process, ended: asyncio.Task[int]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(ended, END_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} isn't a number of seconds")
    return value


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    main()
