"""Runs the programs that know logins, in bounded time and with bounded output."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

MAX_OUTPUT_BYTES = 1024 * 1024
_CHUNK = 64 * 1024


class ProgramError(Exception):
    """A program isn't there, didn't end in time or wrote without end; says which of these."""


@dataclass(frozen=True)
class Finished:
    """What became of a program. Its output may hold secrets: it belongs in no message."""

    status: int
    output: bytes
    errors: bytes


def run_program(command: Sequence[str], given: bytes, seconds: float) -> Finished:
    """Run a program with `given` on its standard input, and return what it wrote.

    If it fails, nothing of it is left, unless it left its process group.

    Raises:
        ProgramError: if it isn't there or can't be run, takes longer than `seconds`, or writes
            more than MAX_OUTPUT_BYTES.
    """
    program = shutil.which(command[0])
    if program is None:
        raise ProgramError("there is no such program on PATH")
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"it can't be run: {error.strerror}") from None
    with process:
        try:
            return _exchange(process, given, time.monotonic() + seconds)
        except TimeoutError:
            raise ProgramError(f"it didn't end in {seconds:g} s") from None
        finally:
            # Once it's reaped, the number of its group may be another's.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


def _exchange(process: subprocess.Popen[bytes], given: bytes, deadline: float) -> Finished:
    assert process.stdin is not None  # noqa: S101 - for the type checker: they are pipes
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):
        # A host's name, which a pipe takes whether or not somebody reads it.
        process.stdin.write(given)
        process.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    output, errors = _read_both(process.stdout, process.stderr, deadline)
    try:
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return Finished(status, output, errors)


def _read_both(output: IO[bytes], errors: IO[bytes], deadline: float) -> tuple[bytes, bytes]:
    received: dict[IO[bytes], bytearray] = {output: bytearray(), errors: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in received:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                stream = output if key.fileobj is output else errors
                received[stream] += chunk
                if not chunk:
                    selector.unregister(stream)
                if len(received[stream]) > MAX_OUTPUT_BYTES:
                    raise ProgramError(f"it wrote more than {MAX_OUTPUT_BYTES} bytes")
    return bytes(received[output]), bytes(received[errors])
