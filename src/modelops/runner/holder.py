"""Who holds a run: a process, told apart from all others of all machines."""

import json
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from modelops.core.process_identity import ProcessIdentity, current_boot

_PID_SPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Holder:
    """A process that works on a run.

    Attributes:
        host: the machine's name, or the container's.
        space: in which space of process numbers its own counts; empty where there is one only.
        identity: which process it is there.
        token: tells apart what one process does at the same time.
    """

    host: str
    space: str
    identity: ProcessIdentity
    token: str

    @classmethod
    def current(cls) -> Self:
        """Return this process, as nobody else is it."""
        identity = ProcessIdentity.of(psutil.Process())
        return cls(socket.gethostname(), _space(), identity, uuid.uuid4().hex)

    @property
    def is_dead(self) -> bool:
        """Whether it's certain that it has ended: it was one of this machine, which has it no more.

        Nothing is certain of another machine's, or another container's. Names of machines aren't
        enough to tell: two may have the same, and pods of a long name, cut at 63 characters, do.
        What no two systems that run have in common is the id of their boot; and what no two
        containers of a system have is the number of their space, as long as both are there.
        """
        here = (socket.gethostname(), _space(), current_boot())
        is_here = (self.host, self.space, self.identity.boot) == here
        return is_here and self.identity.find() is None

    def to_json(self) -> str:
        """Return it as JSON."""
        state = self.identity.to_state()
        return json.dumps({"host": self.host, "space": self.space, "token": self.token, **state})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        state = json.loads(text)
        identity = ProcessIdentity(state["pid"], state["started"], state["boot"])
        return cls(state["host"], state["space"], identity, state["token"])

    def __str__(self) -> str:
        """Return it as a person would name it."""
        return f"process {self.identity.pid} on {self.host}"


def _space() -> str:
    return str(_PID_SPACE.readlink()) if _PID_SPACE.exists() else ""
