"""Running the engine: in a process group of its own, so that we decide what an interrupt means."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Self

from pulumi import automation as auto
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from modelops.core.interrupts import interrupts_held


class EngineCommand(auto.PulumiCommand):
    """The engine's command line.

    An engine that is interrupted leaves its lock and half-made resources behind, and on a terminal
    Ctrl-C reaches every process of the foreground group. So the engine is in a group of its own and
    doesn't hear of it: the first time it finishes what it is at, the second time it's killed.
    Either way KeyboardInterrupt is raised when it has ended.
    """

    @classmethod
    def of_version(cls, program: Path, version: VersionInfo) -> Self:
        """Return the engine in a file whose version is known, so that it isn't asked for it."""
        engine = cls.__new__(cls)
        engine.command, engine.version = str(program), version
        return engine

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> auto.CommandResult:
        """Run a command of the engine to its end.

        Raises:
            CommandError: if it failed.
            KeyboardInterrupt: if it was interrupted, or something beside it was before.
        """
        with interrupts_held() as interrupts:
            interrupts.raise_if_any()
            process = subprocess.Popen(
                [self.command, "--non-interactive", *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=self._environment(additional_env),
                encoding="utf-8",
                process_group=0,
            )
            with process, interrupts.watching(process):
                stdout = _Reader(process.stdout, on_output)
                stderr = _Reader(process.stderr, on_error)
                code = process.wait()
                result = auto.CommandResult(stdout=stdout.text(), stderr=stderr.text(), code=code)
            interrupts.raise_if_any()
        if code != 0:
            raise create_command_error(result)
        return result

    def _environment(self, additional: Mapping[str, str]) -> dict[str, str]:
        environment = {**os.environ, **additional, "PULUMI_AUTOMATION_API": "true"}
        folder = os.path.dirname(self.command)  # noqa: PTH120 — empty for the one on PATH
        if folder:
            # An engine has plugins beside it that belong to its version.
            environment["PATH"] = os.pathsep.join([environment["PATH"], folder])
        return environment


class _Reader:
    """Collects the lines of a stream in a thread of its own."""

    def __init__(self, stream: IO[str] | None, on_line: Callable[[str], object] | None) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream, on_line), daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Return all lines, once the stream has ended."""
        self._thread.join()
        return "\n".join(self._lines)

    def _read(self, stream: IO[str] | None, on_line: Callable[[str], object] | None) -> None:
        for line in stream or ():
            self._lines.append(line.rstrip())
            if on_line is not None:
                on_line(self._lines[-1])
