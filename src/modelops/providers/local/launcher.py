"""Starts a program and records how it ended, since the exit code of a detached process is lost.

`python -P launcher.py --record FILE -- PROGRAM [ARGUMENT …]`: by its path, since importing the
package that it is in would take longer than starting the program.

The record is JSON, `{"exit_code": int}`, written in one step; a program that a signal ended has the
negative number of that signal. The program ends if the launcher does: it holds the reading end of
a pipe (its number is in MODELOPS_LIFELINE_FD) that closes with the launcher.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from modelops.worker.lifeline import LIFELINE_VARIABLE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program to its end; return its exit code as a shell would give it."""
    parser = argparse.ArgumentParser(prog="launcher", description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--pass-fd", type=int, action="append", default=[])
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(argv)
    code = _run(options.program, tuple(options.pass_fd))
    record_exit(options.record, code)
    return code if code >= 0 else 128 - code


def record_exit(path: Path, code: int) -> None:
    """Write the record of an exit."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"exit_code": code}))
    draft.replace(path)


def read_exit(path: Path) -> int | None:
    """Return the recorded exit code, or None if the program hasn't ended by itself."""
    try:
        return int(json.loads(path.read_text())["exit_code"])
    except FileNotFoundError:
        return None


def _run(program: list[str], passed: tuple[int, ...]) -> int:
    reading, writing = os.pipe()
    child = subprocess.Popen(
        program,
        pass_fds=(reading, *passed),
        env={**os.environ, LIFELINE_VARIABLE: str(reading)},
    )
    os.close(reading)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    try:
        return child.wait()
    finally:
        os.close(writing)


if __name__ == "__main__":
    sys.exit(main())
