"""Who holds a stack's lock."""

import os
import socket

from modelops.infra.locks import LockHolder

TEXT = (
    "error: the stack is currently locked by 1 lock(s).\n"
    "  file:///state/locks/x.json: created by ada@{host} (pid {pid}) at 2026-01-02T03:04:05Z"
)


def holder(host: str, pid: int) -> LockHolder:
    (found,) = LockHolder.all_in(TEXT.format(host=host, pid=pid))
    return found


def test_the_holder_is_read_from_the_engines_words() -> None:
    found = holder("laptop", 12)
    assert found == LockHolder("ada", "laptop", 12, "2026-01-02T03:04:05Z")
    assert str(found) == "ada@laptop (process 12) since 2026-01-02T03:04:05Z"


def test_only_an_engine_of_this_machine_can_be_known_to_be_gone() -> None:
    assert holder(socket.gethostname(), 2**22 + 1).is_gone
    assert holder(socket.gethostname(), os.getpid()).is_gone, "a process, but no engine"
    assert not holder("another machine", 2**22 + 1).is_gone
