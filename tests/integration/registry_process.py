"""A real OCI registry for tests: the reference implementation, on loopback, in a process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import stamina
import yaml

from free_ports import free_port
from modelops.core.tools import cached_registry

BINARY_VARIABLE = "MODELOPS_TEST_REGISTRY_BINARY"

_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http: {{addr: "{host}"}}
"""


# Says the registry's pid, and ends it when the pipe closes: when the test ends it, or is killed.
_KEEPER = """\
import subprocess, sys, threading
with open(sys.argv[1], "wb") as log:
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
print(child.pid, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), child.kill()), daemon=True).start()
child.wait()
"""


@dataclass(frozen=True)
class RegistryProcess:
    """A registry that runs: `host` is host:port, `data` the folder that it keeps blobs in."""

    host: str
    data: Path
    pid: int


def registry_binary() -> Path:
    """Return the registry's program; a test that needs it is skipped without it, or fails in CI."""
    named = os.environ.get(BINARY_VARIABLE)
    path = Path(named) if named else cached_registry()
    if path.is_file():
        return path
    reason = f"there is no OCI registry at {path}: run make test-tools, or set {BINARY_VARIABLE}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running_registry(folder: Path, **settings: object) -> Iterator[RegistryProcess]:
    """Run a registry that keeps its data, configuration and log in `folder`.

    Args:
        folder: which is there already.
        settings: more of its configuration; `tls` goes under `http`.
    """
    binary = registry_binary()
    host = f"127.0.0.1:{free_port()}"
    data = folder / "data"
    config = folder / "config.yml"
    configured = yaml.safe_load(_CONFIG.format(data=data, host=host))
    if "tls" in settings:
        configured["http"]["tls"] = settings.pop("tls")
    config.write_text(yaml.safe_dump(configured | settings))
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    log = folder / "registry.log"
    keeper = subprocess.Popen(
        [sys.executable, "-c", _KEEPER, log, binary, "serve", config],
        cwd=folder,
        env={**environment, "OTEL_TRACES_EXPORTER": "none"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            pid = int(keeper.stdout.readline())
            _wait_until_reachable(host, keeper, log)
            yield RegistryProcess(host, data, pid)
        finally:
            keeper.stdin.close()
            keeper.wait()


@pytest.fixture(name="oci_registry")
def oci_registry_fixture(tmp_path: Path) -> Iterator[RegistryProcess]:
    """A registry of the test's own."""
    folder = tmp_path / "oci-registry"
    folder.mkdir()
    with running_registry(folder) as registry:
        yield registry


def _wait_until_reachable(host: str, keeper: subprocess.Popen[str], log: Path) -> None:
    name, _, port = host.rpartition(":")
    for attempt in stamina.retry_context(
        on=ConnectionRefusedError, attempts=None, timeout=30, wait_max=0.1, wait_jitter=0
    ):
        with attempt:
            if keeper.poll() is not None:
                pytest.fail(f"the registry ended: {log.read_text()}")
            socket.create_connection((name, int(port)), timeout=5).close()
