"""The Process resource: a detached process with an address that it keeps.

Inputs (all but `command`, `root` and `log` optional):
    command: the program and its arguments; `{dir}`, `{ready}` and `{port:NAME}` are filled in.
    env: environment variables beside the basic ones; filled in likewise.
    root: the folder that gets one folder for each process.
    log: the file that stdout and stderr are appended to.
    port_names: names of ports on loopback, chosen free when it's created and kept ever after.
    files: name → text, written into the process's folder before it starts.
    kind: `service` (runs until it's deleted) or `job` (ends by itself; its exit is recorded, and a
        job that ended with 0 is finished, not dead).
    ready: `port:NAME` (something listens there), `file` (the program made `{ready}`).
    ready_timeout: seconds until then, at the most.

Outputs: the inputs, and
    ports: name → number; pid, started, boot: which process it is; alive: whether it runs or has
    finished; exit_code: of a job that ended, else None; directory: its folder.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from modelops.core.errors import ProcessError
from modelops.providers.local import launcher
from modelops.providers.local.plugin.ending import end_holders, end_process
from modelops.providers.local.plugin.identity import ProcessIdentity
from modelops.providers.local.plugin.ports import choose_ports, is_reachable

INPUTS = ("command", "env", "root", "log", "port_names", "files", "kind", "ready", "ready_timeout")
_DEFAULTS: dict[str, Any] = {
    "env": {},
    "port_names": [],
    "files": {},
    "kind": "service",
    "ready": "",
    "ready_timeout": 60,
}
# What a program of this machine may expect; everything else is given to it by name.
_BASIC_ENV = frozenset(
    {"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"}
)
# Nothing tells another process that a port listens: the only way is to try.
_RETRY_SECONDS = 0.02
_LOG_TAIL_LINES = 20

_starting: set[ProcessIdentity] = set()
_starting_guard = threading.Lock()


@dataclass(frozen=True)
class ProcessFolder:
    """The folder of one process: its lock, its exit record, its ready file, files it was given."""

    path: Path

    @classmethod
    def of(cls, root: str, urn: str, name: str) -> "ProcessFolder":
        """Return the folder of the resource with that URN."""
        return cls(Path(root) / f"{name}-{sha256(urn.encode()).hexdigest()[:12]}")

    @property
    def lock(self) -> Path:
        """Held open by the process for as long as it runs."""
        return self.path / "lock"

    @property
    def exit_record(self) -> Path:
        """How a job ended."""
        return self.path / "exit.json"

    @property
    def ready(self) -> Path:
        """Made by the program when it is ready."""
        return self.path / "ready"


def with_defaults(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs with what was left out filled in."""
    return {**_DEFAULTS, **inputs}


def problems(inputs: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    found = {}
    for name in ("command", "root", "log"):
        if name not in inputs:
            found[name] = "is missing"
    for name in inputs:
        if name not in INPUTS:
            found[name] = f"isn't a property of Process; those are {', '.join(INPUTS)}"
    if inputs.get("kind", "service") not in ("service", "job"):
        found["kind"] = "must be service or job"
    kind, _, port = str(inputs.get("ready", "")).partition(":")
    if kind not in ("", "file", "port") or (
        kind == "port" and port not in inputs.get("port_names", [])
    ):
        found["ready"] = "must be file, or port:NAME with one of its ports"
    return found


def changes(state: dict[str, Any], inputs: dict[str, Any]) -> list[str]:
    """Return the properties by which a process must be started again.

    Whether it lives is looked at now, so that a dead one is healed without a refresh before.
    """
    old = state.get("inputs", {})
    new = with_defaults(inputs)
    changed = [name for name in INPUTS if old.get(name) != new.get(name)]
    return changed if refreshed(state)["alive"] else [*changed, "alive"]


def start(urn: str, name: str, inputs: dict[str, Any], kept: dict[str, int]) -> dict[str, Any]:
    """Start the process, wait until it's ready, and return its state.

    Whoever holds its folder is ended first: a process that a killed engine left behind. If it
    doesn't get ready, it's ended again.

    Raises:
        ProcessError: with the last lines of its log.
    """
    filled = with_defaults(inputs)
    folder = ProcessFolder.of(filled["root"], urn, name)
    folder.path.mkdir(parents=True, exist_ok=True)
    end_holders(folder.lock)
    folder.exit_record.unlink(missing_ok=True)
    folder.ready.unlink(missing_ok=True)
    for file_name, text in filled["files"].items():
        (folder.path / file_name).write_text(text)
    ports = choose_ports(filled["port_names"], kept)
    taken = [number for number in ports.values() if is_reachable(number)]
    if taken:
        raise ProcessError(
            f"{name} can't be started: its port {taken[0]} is taken by another program.",
            hint="End that program; or take the stack down and up, which chooses another port.",
        )
    process, identity = _spawn(name, filled, folder, ports)
    try:
        _await_ready(name, filled, folder, ports, process)
    except BaseException:
        end_process(identity)
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    finally:
        with _starting_guard:
            _starting.discard(identity)
    return refreshed(
        {
            "inputs": filled,
            "ports": ports,
            "directory": str(folder.path),
            "log": filled["log"],
            **identity.to_state(),
        }
    )


def refreshed(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state with `alive` and `exit_code` as they are now."""
    identity = ProcessIdentity.from_state(state)
    running = identity is not None and identity.find() is not None
    exit_code = None
    if state["inputs"]["kind"] == "job" and not running:
        exit_code = launcher.read_exit(ProcessFolder(Path(state["directory"])).exit_record)
    return {**state, "alive": running or exit_code == 0, "exit_code": exit_code}


def end(state: dict[str, Any]) -> None:
    """End the process, and whoever else holds its folder."""
    identity = ProcessIdentity.from_state(state)
    if identity is not None:
        end_process(identity)
    end_holders(ProcessFolder(Path(state["directory"])).lock)


def remove(state: dict[str, Any]) -> None:
    """Remove the folder of a process that has ended; the log stays."""
    folder = Path(state["directory"])
    shutil.rmtree(folder, ignore_errors=not folder.exists())
    with suppress(OSError):  # others' folders may be there still
        folder.parent.rmdir()


def end_unfinished() -> None:
    """End what is starting at this moment: the engine has gone and will never know of it."""
    with _starting_guard:
        unfinished = list(_starting)
    for identity in unfinished:
        end_process(identity)


def _spawn(
    name: str, inputs: dict[str, Any], folder: ProcessFolder, ports: dict[str, int]
) -> tuple[subprocess.Popen[bytes], ProcessIdentity]:
    def fill(text: str) -> str:
        for port_name, number in ports.items():
            text = text.replace(f"{{port:{port_name}}}", str(number))
        return text.replace("{dir}", str(folder.path)).replace("{ready}", str(folder.ready))

    basic = {key: value for key, value in os.environ.items() if _is_basic(key)}
    environment = basic | {key: fill(value) for key, value in inputs["env"].items()}
    log = Path(inputs["log"])
    log.parent.mkdir(parents=True, exist_ok=True)
    # Text mode would need a codec; the child alone writes here.
    with log.open("ab") as output, folder.lock.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProcessError(
                f"{name} can't be started: another process holds {folder.lock}.",
                hint="Find it with: fuser -v FILE, or lsof FILE. End it, then try again.",
            ) from error
        command = [fill(part) for part in inputs["command"]]
        if inputs["kind"] == "job":
            command = [
                *(sys.executable, "-P", launcher.__file__),
                *("--record", str(folder.exit_record), "--pass-fd", str(lock.fileno()), "--"),
                *command,
            ]
        with _starting_guard:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    cwd=folder.path,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{name} can't be started: {error}") from error
            identity = ProcessIdentity.of(psutil.Process(process.pid))
            _starting.add(identity)
    return process, identity


def _await_ready(
    name: str,
    inputs: dict[str, Any],
    folder: ProcessFolder,
    ports: dict[str, int],
    process: subprocess.Popen[bytes],
) -> None:
    deadline = time.monotonic() + float(inputs["ready_timeout"])
    kind, _, port = inputs["ready"].partition(":")
    while True:
        if kind == "file" and folder.ready.exists():
            return
        if kind == "port" and is_reachable(ports[port]):
            return
        try:
            code = process.wait(timeout=_RETRY_SECONDS)
        except subprocess.TimeoutExpired:
            if not kind:
                return
        else:
            if inputs["kind"] == "job" and code == 0:
                return
            raise ProcessError(
                f"{name} ended with exit code {code} before it was ready. {_tail(inputs['log'])}"
            )
        if time.monotonic() > deadline:
            raise ProcessError(
                f"{name} wasn't ready after {inputs['ready_timeout']} s. {_tail(inputs['log'])}"
            )


def _tail(log: str) -> str:
    lines = Path(log).read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join([f"The end of its log, {log}:", *lines])


def _is_basic(name: str) -> bool:
    return name in _BASIC_ENV or name.startswith("LC_")
