import os
import subprocess
import sys

from modelops.worker.lifeline import LIFELINE_VARIABLE

HOLDS_THE_LOCK = """
import ctypes, os, sys
from modelops.worker.lifeline import end_group_with
end_group_with(int(sys.argv[1]))
print("ready", flush=True)
ctypes.PyDLL(None).sleep(600)
"""
WAITS = """
import os, threading
from modelops.worker.lifeline import end_with_starter
end_with_starter()
print("ready", flush=True)
threading.Event().wait()
"""


def _start(code: str, fd: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", code, str(fd)],
        env={**os.environ, LIFELINE_VARIABLE: str(fd)},
        pass_fds=(fd,),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_process_ends_when_its_starter_lets_go() -> None:
    reader, writer = os.pipe()
    with _start(WAITS, reader) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.close(writer)
        assert process.wait(30) == 1
    os.close(reader)


def test_a_model_in_compiled_code_ends_too() -> None:
    reader, writer = os.pipe()
    # PyDLL doesn't release the interpreter's lock, so no thread of Python can run.
    with _start(HOLDS_THE_LOCK, reader) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.close(writer)
        assert process.wait(30) == -9
    os.close(reader)
