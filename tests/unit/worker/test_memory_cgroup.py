"""What is written to a cgroup, in a folder that isn't one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelops.worker import memory_cgroup
from modelops.worker.cgroup_place import CgroupPlace
from modelops.worker.memory_cgroup import MemoryCgroup

MiB = 2**20
HEADROOM = 64 * MiB


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MemoryCgroup]]:
    """What makes a cgroup of a version."""
    # What is no cgroup has files, and so can't be removed.
    monkeypatch.setattr(memory_cgroup, "_END_SECONDS", 0.0)
    made: list[MemoryCgroup] = []

    def make(version: int) -> MemoryCgroup:
        made.append(MemoryCgroup(CgroupPlace(tmp_path, version)))
        return made[-1]

    yield make
    for cgroup in made:
        cgroup.close()


def contents(cgroup: MemoryCgroup) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(cgroup.folder).iterdir()}


@pytest.mark.parametrize(
    ("version", "limited", "free"),
    [
        (
            1,
            {"memory.limit_in_bytes": str(100 * MiB + HEADROOM)},
            {"memory.limit_in_bytes": "-1"},
        ),
        (
            2,
            {"memory.max": str(100 * MiB + HEADROOM), "memory.oom.group": "1"},
            {"memory.max": "max", "memory.oom.group": "1"},
        ),
    ],
)
def test_a_limit_is_set_and_taken_away(
    make: Callable[..., MemoryCgroup], version: int, limited: dict[str, str], free: dict[str, str]
) -> None:
    cgroup = make(version)

    cgroup.limit(100 * MiB)
    assert contents(cgroup) == limited

    cgroup.limit(None)
    assert contents(cgroup) == free


@pytest.mark.parametrize(
    ("version", "name", "limited", "free"),
    [
        (1, "memory.memsw.limit_in_bytes", str(100 * MiB + HEADROOM), "-1"),
        (2, "memory.swap.max", "0", "max"),
    ],
)
def test_swap_is_no_way_out(
    make: Callable[..., MemoryCgroup], version: int, name: str, limited: str, free: str
) -> None:
    cgroup = make(version)
    Path(cgroup.folder, name).touch()

    cgroup.limit(100 * MiB)
    assert contents(cgroup)[name] == limited

    cgroup.limit(None)
    assert contents(cgroup)[name] == free


def test_a_limit_is_written_only_if_it_is_another(make: Callable[..., MemoryCgroup]) -> None:
    cgroup = make(2)
    cgroup.limit(None)
    assert contents(cgroup) == {}

    cgroup.limit(100 * MiB)
    (Path(cgroup.folder) / "memory.max").write_text("as it was")
    cgroup.limit(100 * MiB)

    assert contents(cgroup)["memory.max"] == "as it was"


def test_what_is_left_in_one_is_ended_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_cgroup, "_END_SECONDS", 0.0)
    cgroup = MemoryCgroup(CgroupPlace(tmp_path, 2))
    with subprocess.Popen(["sleep", "600"]) as left:
        # The kernel gives 0 for what is in another container, and to kill the process 0 would kill
        # this one and its whole group. A process that has ended meanwhile isn't there.
        (Path(cgroup.folder) / "cgroup.procs").write_text(f"0\n{2**22 + 1}\n{left.pid}\n")
        cgroup.close()

        assert left.wait() == -9
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(cgroup._lock)


def test_the_next_one_removes_what_was_left(
    make: Callable[..., MemoryCgroup], tmp_path: Path
) -> None:
    left, lock = CgroupPlace(tmp_path, 2).make()
    os.close(lock)
    used = make(2)

    make(2)

    assert not left.exists()
    assert Path(used.folder).exists()


@pytest.mark.parametrize("place", [None, CgroupPlace(Path("/nowhere"), 1)])
def test_where_none_can_be_made_there_is_none(
    monkeypatch: pytest.MonkeyPatch, place: CgroupPlace | None
) -> None:
    asked = []

    def find() -> CgroupPlace | None:
        asked.append(place)
        return place

    monkeypatch.setattr(memory_cgroup, "find_place", find)
    memory_cgroup._usable_place.cache_clear()
    try:
        assert [MemoryCgroup.around(os.getpid()) for _ in range(3)] == [None] * 3
    finally:
        memory_cgroup._usable_place.cache_clear()

    assert len(asked) == 1


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(memory_cgroup, "_usable_place", memory_cgroup._usable_place.__wrapped__)
    monkeypatch.setattr(memory_cgroup, "find_place", lambda: pytest.fail("it was looked for"))

    assert MemoryCgroup.around(os.getpid()) is None
