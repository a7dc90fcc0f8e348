"""Keeps a service running: starts its program again, as it was, when it dies.

`python -P keeper.py --command FILE --settled FILE`: by its path, since importing the package that
it is in would take longer than starting the program.

The command is a JSON list in a file, so that whoever looks for the program by its command line
finds the program alone. It's started again only once the file `settled` is there: a program that
never got ready is an error that somebody waits for. The keeper hands on SIGTERM, SIGINT and SIGQUIT
and ends with its program then. The program outlives a keeper that is killed.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from modelops.core.backoff import Backoff


def main(argv: Sequence[str] | None = None) -> int:
    """Keep the program until told to end; return its last exit code as a shell would give it."""
    parser = argparse.ArgumentParser(prog="keeper", description=__doc__)
    parser.add_argument("--command", type=Path, required=True)
    parser.add_argument("--settled", type=Path, required=True)
    parser.add_argument("--pass-fd", type=int, action="append", default=[])
    options = parser.parse_args(argv)
    program = json.loads(options.command.read_text())
    code = Keeper(program, tuple(options.pass_fd), options.settled).run()
    return code if code >= 0 else 128 - code


class Keeper:
    """One program, which runs at most once at a time."""

    def __init__(self, program: list[str], passed: tuple[int, ...], settled: Path) -> None:
        self._program = program
        self._passed = passed
        self._settled = settled
        self._child: subprocess.Popen[bytes] | None = None
        self._told: list[int] = []
        self._wake, self._waker = os.pipe()

    def run(self) -> int:
        """Start the program, again and again; return its exit code when it's not to go on."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._hand_on)
        backoff = Backoff()
        while True:
            started = time.monotonic()
            self._child = subprocess.Popen(self._program, pass_fds=self._passed)
            for told in self._told:  # while it was being started
                self._child.send_signal(told)
            code = self._child.wait()
            if self._told or not self._settled.exists():
                return code
            delay = backoff.after(time.monotonic() - started)
            sys.stderr.write(f"keeper: it ended ({code}); starting it again in {delay:g} s\n")
            select.select([self._wake], [], [], delay)
            if self._told:
                return code

    def _hand_on(self, number: int, _frame: FrameType | None) -> None:
        self._told.append(number)
        os.write(self._waker, b".")
        if self._child is not None:
            self._child.send_signal(number)


if __name__ == "__main__":
    sys.exit(main())
