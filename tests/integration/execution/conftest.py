"""A Dask cluster as it is in production: a scheduler, and a supervisor with its workers."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef
from modelops.services.dask_settings import SCHEDULER_ENV, WORKER_ENV
from modelops.worker.lifeline import LIFELINE_VARIABLE

SECONDS = 50.0
"""How long anything may take before a test fails."""


class Cluster:
    """Real processes on loopback that end with the test process, however it ends."""

    def __init__(self, folder: Path, scheduler_env: Mapping[str, str]) -> None:
        self.home = folder / "home"
        self.store_url = f"oci-layout://{folder / 'store'}"
        self.ready_file = folder / "ready.json"
        self._folder = folder
        self._scheduler_env = scheduler_env
        self._port = _free_port()
        self._lifeline, self._lifeline_writer = os.pipe()
        self._log_grew = threading.Condition()
        self._log: list[str] = []

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self._port}"

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

    def start_scheduler(self) -> None:
        """Start a scheduler, always at the same address."""
        command = [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"),
            *("--port", str(self._port), "--no-show"),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
            *("--preload", "modelops.worker.lifeline"),
        ]
        with (self._folder / "scheduler.log").open("ab") as log:
            self.scheduler = subprocess.Popen(
                command,
                env=self._environment() | dict(self._scheduler_env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lifeline,),
            )

    def start_supervisor(self, workers: int, threads: int = 1) -> None:
        """Start a group of workers and wait until all have registered."""
        command = [
            *(sys.executable, "-m", "modelops.worker.supervisor", "--scheduler", self.address),
            *("--min", str(workers), "--max", str(workers), "--threads", str(threads)),
            *("--name", "cpu", "--ready-file", str(self.ready_file)),
            *("--local-directory", str(self._folder / "dask")),
        ]
        self.supervisor = subprocess.Popen(
            command,
            env=self._environment() | dict(WORKER_ENV),
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

    def stop(self) -> None:
        """End the cluster, gently first."""
        for name in ("supervisor", "scheduler"):
            process = getattr(self, name, None)
            if process:
                process.terminate()
                try:
                    process.wait(SECONDS)
                finally:
                    process.kill()
        os.close(self._lifeline_writer)
        os.close(self._lifeline)
        if hasattr(self, "_reader"):
            self._reader.join(SECONDS)
            self.supervisor.stderr.close()

    def _read_log(self) -> None:
        for line in self.supervisor.stderr:
            with self._log_grew:
                self._log.append(line)
                self._log_grew.notify_all()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MODELOPS_HOME": str(self.home),
            "MODELOPS_BUNDLE_REGISTRY": self.store_url,
            LIFELINE_VARIABLE: str(self._lifeline),
        }

    def _is_ours(self, process: psutil.Process) -> bool:
        """Warm children run inside the unpacked bundles; the others know where these are."""
        try:
            is_child = Path(process.cwd()).is_relative_to(self.home)
            return is_child or process.environ().get("MODELOPS_HOME") == str(self.home)
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
    ) -> Iterator[Cluster]:
        with ExitStack() as stack:
            cluster = Cluster(folder, scheduler_env)
            stack.callback(cluster.stop)
            cluster.start_scheduler()
            cluster.start_supervisor(workers, threads)
            yield cluster
        cluster.assert_gone(cluster.processes())

    return start


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
