"""Waiting until a process is ready: by a port, a file, or a command that says so."""

import subprocess
import time
from pathlib import Path

from modelops.core.errors import ProcessError
from modelops.core.process_identity import ProcessIdentity
from modelops.providers.local.plugin import unfinished
from modelops.providers.local.plugin.ending import end_process, family
from modelops.providers.local.plugin.launch import Launch
from modelops.providers.local.plugin.ports import PortTakenError, is_reachable, listens

# Nothing tells another process that a port listens: the only way is to try.
_RETRY_SECONDS = 0.02
_COMMAND_RETRY_SECONDS = 0.1
_COMMAND_SECONDS = 10.0
_LOG_TAIL_LINES = 20


def await_ready(
    launch: Launch, process: subprocess.Popen[bytes], identity: ProcessIdentity
) -> None:
    """Return when the process is ready, or is a job that has finished.

    Raises:
        PortTakenError: if it's another program that listens at one of its ports.
        ProcessError: if it ended or took too long, with the last lines of its log.
    """
    inputs = launch.inputs
    deadline = time.monotonic() + float(inputs["ready_timeout"])
    kind, _, port = inputs["ready"].partition(":")
    said = ""
    while True:
        left = deadline - time.monotonic()
        if kind == "command":
            # What it last said counts, also if the last time it was cut off.
            is_ready, answer = _ask(launch, min(max(left, 0.1), _COMMAND_SECONDS))
            said = answer or said or "nothing"
        else:
            is_ready = kind == "file" and launch.folder.ready.exists()
            is_ready = is_ready or (kind == "port" and is_reachable(launch.ports[port]))
        if is_ready:
            _refuse_strangers(launch, identity)
            return
        try:
            pause = _COMMAND_RETRY_SECONDS if kind == "command" else _RETRY_SECONDS
            code = process.wait(timeout=pause)
        except subprocess.TimeoutExpired:
            if not kind:
                return
        else:
            if inputs["kind"] == "job" and code == 0:
                return
            raise ProcessError(
                f"{launch.name} ended with exit code {code} before it was ready. "
                f"{_tail(inputs['log'])}"
            )
        if time.monotonic() > deadline:
            asked = f" {inputs['ready_command'][0]} said: {said}\n" if said else " "
            raise ProcessError(
                f"{launch.name} wasn't ready after {inputs['ready_timeout']} s."
                f"{asked}{_tail(inputs['log'])}"
            )


def _ask(launch: Launch, seconds: float) -> tuple[bool, str]:
    """Run the command that says whether the process is ready; return that, and what it said.

    It said nothing if it was cut off.
    """
    asked, identity = unfinished.spawn(
        f"The ready_command of {launch.name}",
        [launch.fill(part) for part in launch.inputs["ready_command"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=launch.environment,
        cwd=launch.folder.path,
    )
    try:
        output, _ = asked.communicate(timeout=seconds)
        return asked.returncode == 0, output.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        return False, ""
    finally:
        if asked.poll() is None:
            end_process(identity, grace=0)
            asked.wait()
        if asked.stdout is not None:
            asked.stdout.close()
        unfinished.finish(identity)


def _refuse_strangers(launch: Launch, identity: ProcessIdentity) -> None:
    """Check that who listens at the process's ports is the process, or one that it started."""
    for port in launch.ports.values():
        # Once more, since a child may have started while its family was being looked up.
        if is_reachable(port) and not any(listens(family(identity), port) for _ in range(2)):
            raise PortTakenError(launch.name, port)


def _tail(log: str) -> str:
    lines = Path(log).read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join([f"The end of its log, {log}:", *lines])
