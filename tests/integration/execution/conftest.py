"""A Dask cluster as it is in production: a scheduler, and a supervisor with its workers."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from free_ports import free_port
from integration.execution.local_machine import LocalMachine
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef
from modelops.services.dask_settings import (
    SCHEDULER_ENV,
    WORKER_ENV,
    scheduler_command,
    supervisor_command,
    tls_env,
)
from modelops.worker.lifeline import LIFELINE_VARIABLE
from modelops.worker.supervisor import SCHEDULER_VARIABLE

# Children are told of locales, and of hardly anything else.
_MARK = "LC_MODELOPS_CLUSTER"
SECONDS = 50.0
"""How long anything may take before a test fails."""


class Cluster:
    """Real processes on loopback that end with the test process, however it ends."""

    def __init__(
        self, folder: Path, scheduler_env: Mapping[str, str], certificates: Path | None
    ) -> None:
        self.home = folder / "home"
        self.store_url = f"oci-layout://{folder / 'store'}"
        self.ready_file = folder / "ready.json"
        self._folder = folder
        self._scheduler_env = scheduler_env
        self._certificates = certificates
        self._port = free_port()
        self._lifeline, self._lifeline_writer = os.pipe()
        self._log_grew = threading.Condition()
        self._log: list[str] = []

    @property
    def address(self) -> str:
        return f"{'tls' if self._certificates else 'tcp'}://127.0.0.1:{self._port}"

    def write_bundle(self, model: str, targets: str = "") -> Path:
        """Write a bundle with a module `model` and a module `targets`."""
        bundle = self._folder / "bundle"
        bundle.mkdir()
        (bundle / "manifest.json").write_text(
            '{"name": "model", "version": "1.0.0", "entrypoint": "model:simulate"}\n'
        )
        (bundle / "model.py").write_text(model)
        (bundle / "targets.py").write_text(targets)
        return bundle

    def push(self, bundle: Path) -> BundleRef:
        """Put a bundle where the workers fetch it."""
        return open_store(self.store_url).push("tests/model", pack(bundle))

    def start_scheduler(self, *, knows_groups: bool = True) -> None:
        """Start a scheduler, always at the same address."""
        command = scheduler_command(self._port)
        if not knows_groups:
            at = command.index("modelops.worker.group_load")
            del command[at - 1 : at + 1]
        with (self._folder / "scheduler.log").open("ab") as log:
            self.scheduler = subprocess.Popen(
                command,
                env=self._environment("scheduler") | dict(self._scheduler_env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lifeline,),
            )

    def start_supervisor(
        self, workers: int, threads: int = 1, maximum: int | None = None, **options: Any
    ) -> None:
        """Start a group of workers and wait until those that it begins with have registered."""
        command = supervisor_command(
            "cpu",
            workers,
            workers if maximum is None else maximum,
            threads=threads,
            directory=str(self._folder / "dask"),
            ready_file=str(self.ready_file),
            **options,
        )
        self.supervisor = subprocess.Popen(
            command,
            env=self._environment("worker") | dict(WORKER_ENV),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(self._lifeline,),
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.wait_for_log("have registered")

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Wait until the supervisor or its workers have written lines with `text`."""

        def is_there() -> bool:
            return sum(text in line for line in self._log) >= times

        with self._log_grew:
            is_found = self._log_grew.wait_for(is_there, SECONDS)
        assert is_found, f"no {text!r} in:\n{''.join(self._log)}"

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes."""
        return psutil.Process(self.supervisor.pid).children()

    def processes(self) -> list[psutil.Process]:
        """Return all processes that belong to the cluster, orphans and warm children too."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def assert_gone(self, processes: list[psutil.Process]) -> None:
        """Wait until the processes have ended."""
        _, alive = psutil.wait_procs(processes, timeout=SECONDS)
        assert alive == []

    def stop_supervisor(self) -> None:
        """End the workers, gently first."""
        _end(self.supervisor)
        self._reader.join(SECONDS)
        assert self.supervisor.stderr is not None
        self.supervisor.stderr.close()

    def stop(self) -> None:
        """End the cluster, gently first."""
        if hasattr(self, "supervisor"):
            self.stop_supervisor()
        if hasattr(self, "scheduler"):
            _end(self.scheduler)
        os.close(self._lifeline_writer)
        os.close(self._lifeline)

    def _read_log(self) -> None:
        for line in self.supervisor.stderr:
            with self._log_grew:
                self._log.append(line)
                self._log_grew.notify_all()

    def _environment(self, role: Literal["scheduler", "worker"]) -> dict[str, str]:
        return {
            **os.environ,
            **({} if self._certificates is None else tls_env(str(self._certificates), role)),
            SCHEDULER_VARIABLE: self.address,
            "MODELOPS_HOME": str(self.home),
            "MODELOPS_BUNDLE_REGISTRY": self.store_url,
            LIFELINE_VARIABLE: str(self._lifeline),
            _MARK: str(self.home),
        }

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == str(self.home)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


@pytest.fixture(scope="session")
def start_cluster() -> Callable[..., AbstractContextManager[Cluster]]:
    """What starts a cluster in a folder, ends it, and sees that no process is left."""

    @contextmanager
    def start(
        folder: Path,
        workers: int,
        threads: int = 1,
        scheduler_env: Mapping[str, str] = SCHEDULER_ENV,
        certificates: Path | None = None,
        **options: Any,
    ) -> Iterator[Cluster]:
        with ExitStack() as stack:
            cluster = Cluster(folder, scheduler_env, certificates)
            stack.callback(cluster.stop)
            cluster.start_scheduler()
            cluster.start_supervisor(workers, threads, **options)
            yield cluster
        cluster.assert_gone(cluster.processes())

    return start


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalMachine:
    """What runs simulations on this machine, with a home of its own."""
    monkeypatch.setenv("MODELOPS_HOME", str(tmp_path / "home"))
    return LocalMachine(tmp_path)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS)
    finally:
        process.kill()
