"""The Process resource: a detached process with an address that it keeps.

Inputs (all but `command`, `root` and `log` optional):
    command: the program and its arguments; `{dir}`, `{ready}` and `{port:NAME}` are filled in.
    env: environment variables beside the basic ones; filled in likewise.
    inherit: names of variables that it gets as they are for whoever starts it, where they are set,
        or patterns of names such as `UV_*`; their values aren't in the state.
    root: the folder that gets one folder for each process.
    log: the file that stdout and stderr are appended to; a large one is put aside first.
    port_names: names of ports on loopback, chosen free when it's created and kept ever after.
    files: name → text, written into the process's folder before it starts.
    kind: `service` (runs until it's deleted) or `job` (ends by itself; its exit is recorded, and a
        job that ended with 0 is finished, not dead).
    restart: whether a service that dies once it has been ready is started again, as it was, by a
        keeper that stays beside it.
    ready: `port:NAME` (it listens there), `file` (the program made `{ready}`), `command`.
    ready_command: for `command`: a program and its arguments, filled in likewise, which is run with
        the same environment until it exits with 0.
    ready_timeout: seconds until then, at the most.
    stop_signal: what it is sent first when it's to end: `TERM`, `INT` or `QUIT`.

Outputs: the inputs, and
    ports: name → number; pid, started, boot: which process it is (its launcher or keeper, if it
    has one); alive: whether it runs or has
    finished; exit_code: of a job that ended, else None; directory: its folder.
"""

import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelops.core.errors import ProcessError
from modelops.core.process_identity import ProcessIdentity
from modelops.providers.local import launcher
from modelops.providers.local.plugin import unfinished
from modelops.providers.local.plugin.ending import end_holders, end_process
from modelops.providers.local.plugin.launch import Launch, ProcessFolder
from modelops.providers.local.plugin.ports import PortTakenError, choose_ports, refuse_taken
from modelops.providers.local.plugin.readiness import await_ready

_DEFAULTS: dict[str, Any] = {
    "env": {},
    "inherit": [],
    "port_names": [],
    "files": {},
    "kind": "service",
    "restart": False,
    "ready": "",
    "ready_command": [],
    "ready_timeout": 60,
    "stop_signal": "TERM",
}
INPUTS: tuple[str, ...] = ("command", "root", "log", *_DEFAULTS)
OUTPUTS: tuple[str, ...] = ("ports", "pid", "started", "boot", "alive", "exit_code", "directory")
SECRETS: frozenset[str] = frozenset()
_STOP_SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "QUIT": signal.SIGQUIT}
# Between the choice of a port and the program's bind another program may take it.
_PORT_TRIES = 5


def with_defaults(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with what was left out filled in."""
    return {**_DEFAULTS, **inputs}


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    found = {}
    for name in ("command", "root", "log"):
        if name not in inputs:
            found[name] = "is missing"
    for name in inputs:
        if name not in INPUTS:
            found[name] = f"isn't a property of Process; those are {', '.join(INPUTS)}"
    found.update(_problems_of_kind(inputs))
    if inputs.get("stop_signal", "TERM") not in _STOP_SIGNALS:
        found["stop_signal"] = f"must be one of {', '.join(_STOP_SIGNALS)}"
    kind, _, port = str(inputs.get("ready", "")).partition(":")
    if kind not in ("", "file", "port", "command") or (
        kind == "port" and port not in inputs.get("port_names", [])
    ):
        found["ready"] = "must be file, command, or port:NAME with one of its ports"
    if (kind == "command") != bool(inputs.get("ready_command")):
        found["ready_command"] = "goes with ready: command, and that with it"
    return found


def changes(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the properties by which a process must be started again.

    Whether it lives is looked at now, so that a dead one is healed without a refresh before.
    """
    old = with_defaults(state.get("inputs", {}))
    new = with_defaults(inputs)
    changed = [name for name in INPUTS if old.get(name) != new.get(name)]
    return changed if refreshed(state)["alive"] else [*changed, "alive"]


def foreseen(_inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the outputs before it's started: after a first start, its ports."""
    return {name: old[name] for name in OUTPUTS if name in old}


def secret_outputs(_inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return none: an output is secret if an input is."""
    return frozenset()


def make(urn: str, name: str, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Start the process, after the old one was ended, at the ports that this one had.

    Raises:
        ProcessError: if it doesn't get ready, with the last lines of its log.
    """
    if old:
        end(old)
    return start(urn, name, inputs, old.get("ports", {}))


def start(
    urn: str, name: str, inputs: Mapping[str, Any], kept: Mapping[str, int]
) -> dict[str, Any]:
    """Start the process, wait until it's ready, and return its state.

    Whoever holds its folder is ended first: a process that a killed engine left behind. If it
    doesn't get ready, it's ended again.

    Raises:
        PortTakenError: if another program holds a port that was kept.
        ProcessError: with the last lines of its log.
    """
    filled = with_defaults(inputs)
    folder = ProcessFolder.of(filled["root"], urn, name)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.urn_file.write_text(urn)
    end_holders(folder.lock, first=_STOP_SIGNALS[filled["stop_signal"]])
    try:
        for file_name, text in filled["files"].items():
            (folder.path / file_name).write_text(text)
        launch, identity = _start_where_free(name, filled, folder, kept)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return refreshed(
        {
            "inputs": filled,
            "ports": launch.ports,
            "directory": str(folder.path),
            "log": filled["log"],
            **identity.to_state(),
        }
    )


def refreshed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with `alive` and `exit_code` as they are now."""
    identity = ProcessIdentity.from_state(state)
    running = identity is not None and identity.find() is not None
    exit_code = None
    if not running:
        # Only jobs have a record.
        exit_code = launcher.read_exit(ProcessFolder(Path(state["directory"])).exit_record)
    return {**state, "alive": running or exit_code == 0, "exit_code": exit_code}


def end(state: Mapping[str, Any]) -> None:
    """End the process, and whoever else holds its folder."""
    first = _STOP_SIGNALS[with_defaults(state["inputs"])["stop_signal"]]
    identity = ProcessIdentity.from_state(state)
    if identity is not None:
        end_process(identity, first=first)
    end_holders(ProcessFolder(Path(state["directory"])).lock, first=first)


def remove(state: Mapping[str, Any]) -> None:
    """End the process and remove its folder; the log stays."""
    end(state)
    folder = Path(state["directory"])
    shutil.rmtree(folder, ignore_errors=not folder.exists())
    with suppress(OSError):  # others' folders may be there still
        folder.parent.rmdir()


def _problems_of_kind(inputs: Mapping[str, Any]) -> dict[str, str]:
    if inputs.get("kind", "service") not in ("service", "job"):
        return {"kind": "must be service or job"}
    if not isinstance(inputs.get("restart", False), bool):
        return {"restart": "must be true or false"}
    if inputs.get("restart") and inputs.get("kind") == "job":
        return {"restart": "is for services; a job is to end"}
    return {}


def _start_where_free(
    name: str, inputs: dict[str, Any], folder: ProcessFolder, kept: Mapping[str, int]
) -> tuple[Launch, ProcessIdentity]:
    """Start it; where a new port is taken at the last moment, again at another one."""
    tries = 1
    while True:
        launch = Launch(name, inputs, folder, choose_ports(inputs["port_names"], kept))
        try:
            return launch, _start_once(launch)
        except PortTakenError as error:
            if error.port in kept.values() or tries == _PORT_TRIES:
                raise
            tries += 1


def _start_once(launch: Launch) -> ProcessIdentity:
    launch.folder.exit_record.unlink(missing_ok=True)
    launch.folder.ready.unlink(missing_ok=True)
    launch.folder.settled.unlink(missing_ok=True)
    refuse_taken(launch.name, launch.ports)
    process, identity = launch.start()
    try:
        await_ready(launch, process, identity)
        launch.folder.settled.touch()
    except BaseException as error:
        end_process(identity, first=_STOP_SIGNALS[launch.inputs["stop_signal"]])
        if isinstance(error, ProcessError):
            # All that was ours has ended: whoever is there now is why it couldn't start.
            refuse_taken(launch.name, launch.ports)
        raise
    finally:
        unfinished.finish(identity)
    return identity
