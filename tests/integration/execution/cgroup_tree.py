"""A cgroup of a test's own, in which workers make those of their children."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelops.worker.cgroup_place import CgroupPlace, find_place

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 20.0


class CgroupTree:
    """The cgroup, which is gone after the test with all that was made in it."""

    def __init__(self, place: CgroupPlace) -> None:
        self.place = place
        # With version 2, cgroups that limit memory are made beside the one with the worker.
        self.of_worker = place.folder if place.version == 1 else place.folder / "worker"

    def children(self) -> list[Path]:
        """Return the cgroups of children."""
        return sorted(self.place.folder.glob("modelops-child-*"))

    def enter_command(self, command: list[str]) -> list[str]:
        """Return a command that runs another one as a worker in here."""
        enter = f'echo $$ > "{self.of_worker}/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, "sh", *command]


@contextmanager
def cgroup_tree() -> Iterator[CgroupTree]:
    """Make a cgroup where this machine lets us, or skip the test."""
    found = find_place()
    if found is None:
        pytest.skip("no cgroup with a limit of memory can be made here")
    folder = Path(tempfile.mkdtemp(prefix="modelops-test-", dir=found.folder))
    try:
        tree = CgroupTree(CgroupPlace(folder, found.version))
        if found.version == 2:
            (folder / "cgroup.subtree_control").write_text("+memory")
            tree.of_worker.mkdir()
        yield tree
    finally:
        _remove(folder)


def processes_in(folder: Path) -> list[int]:
    """Return the processes of a cgroup."""
    return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    for each in (*(path for path in folder.iterdir() if path.is_dir()), folder):
        while pids := processes_in(each):
            assert time.monotonic() < deadline, f"processes stay in {each}"
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        each.rmdir()
