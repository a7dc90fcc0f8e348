"""Moments of a command: found by what its engine is at, and not by how long it has run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from conftest import command_of
from integration.machine import pending, resources_of

if TYPE_CHECKING:
    from integration.conftest import Mops

_PLUGIN = "pulumi-resource-modelops"


class When(StrEnum):
    """How far the engine has come with a stack."""

    FIRST = "before its first resource"
    PROCESS = "while a process starts or ends"
    LAST = "after its last resource, before its end"


@dataclass(frozen=True)
class Moment:
    """A moment of an engine's operation on a stack: `up`, `destroy`, `preview` or `refresh`."""

    operation: str
    component: str
    when: When = When.FIRST
    resources: int = 0
    """How many the stack has on this machine, for `LAST` of `up`."""

    def __str__(self) -> str:
        return f"{self.operation} of {self.component}, {self.when}"


def await_moment(mops: Mops, command: subprocess.Popen[str], moment: Moment) -> psutil.Process:
    """Wait until a command's engine has come to a moment, and return that engine."""
    (engine,) = await_engines(mops, command, moment)
    return engine


def await_engines(
    mops: Mops, command: subprocess.Popen[str], *moments: Moment
) -> list[psutil.Process]:
    """Wait until engines that run side by side are each at a moment, and return them."""
    while command.poll() is None:
        found = [
            engine
            for moment in moments
            if (engine := _engine(command, moment)) and _is_reached(mops, command, moment)
        ]
        if len(found) == len(moments):
            return found
        time.sleep(0.002)
    wanted = " and ".join(map(str, moments))
    raise AssertionError(f"it ended before {wanted}:\n{command.stdout and command.stdout.read()}")


def plugin_of(command: subprocess.Popen[str]) -> psutil.Process:
    """Return the plugin that a command shares between its engines."""
    (plugin,) = (child for child in _children(command) if _is_plugin(child))
    return plugin


def starting(mops: Mops, command: subprocess.Popen[str], component: str) -> list[psutil.Process]:
    """Return the processes that a stack's engine has had started and hasn't noted yet."""
    unnoted = pending(mops, component)
    found = []
    for plugin in filter(_is_plugin, _children(command)):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found += [
                child
                for child in plugin.children()
                if any(Path(child.cwd()).name.startswith(f"{name}-") for name in unnoted)
            ]
    return found


def interrupt(command: subprocess.Popen[str]) -> None:
    """Press Ctrl-C: a terminal sends the signal to the foreground's whole process group."""
    os.killpg(command.pid, signal.SIGINT)


def _engine(command: subprocess.Popen[str], moment: Moment) -> psutil.Process | None:
    for child in _children(command):
        words = command_of(child)
        if (
            Path(words[0] if words else "").name == "pulumi"
            and moment.operation in words
            and words[-1].startswith(f"modelops-{moment.component}-")
        ):
            return child
    return None


def _is_reached(mops: Mops, command: subprocess.Popen[str], moment: Moment) -> bool:
    # The engine is asked to bring up a stack before it's asked to make it.
    folder = mops.home / "pulumi/.pulumi/stacks" / f"modelops-{moment.component}"
    if not any(folder.glob("*.json")):
        return False
    if moment.when is When.FIRST:
        return True
    if moment.when is When.PROCESS and moment.operation == "destroy":
        processes = resources_of(mops, moment.component, "Process")
        return "deleting" in {
            operation
            for name, operation in pending(mops, moment.component).items()
            if name in processes
        }
    if moment.when is When.PROCESS:
        return bool(starting(mops, command, moment.component))
    if moment.operation == "destroy":
        return not resources_of(mops, moment.component)
    return len(resources_of(mops, moment.component)) == moment.resources


def _children(command: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(command.pid).children()
    except psutil.NoSuchProcess:
        return []


def _is_plugin(process: psutil.Process) -> bool:
    return any(word.endswith(_PLUGIN) for word in command_of(process))
