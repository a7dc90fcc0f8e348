"""Where cgroups can be made, as the files of /proc tell."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.worker.cgroup_place import CgroupPlace, find_place

if TYPE_CHECKING:
    from collections.abc import Callable

names = st.text(r"a0 \:-" + "\t\r\x85é", min_size=1, max_size=6).filter(
    lambda name: ".." not in name
)


class Machine:
    """A file system of cgroups, and what /proc says of a process."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.mounted = folder / "mounted here"
        self.proc.mkdir()
        self._cgroups: list[str] = []
        self._mounts = [f"22 1 8:1 / {_escaped(folder)} rw shared:1 - ext4 /dev/sda1 rw"]
        self._write()

    def mount(self, kind: str, options: str, *, root: str = "/", at: Path | None = None) -> None:
        point = at or self.mounted
        point.mkdir(exist_ok=True, parents=True)
        where = f"{_escaped(root)} {_escaped(point)}"
        self._mounts.append(f"35 31 0:32 {where} rw,relatime shared:7 - {kind} cgroup {options}")
        self._write()

    def enter(self, cgroup: str, controllers: str = "") -> None:
        number = len(self._cgroups) if controllers else 0
        self._cgroups.append(f"{number}:{controllers}:{cgroup}")
        self._write()

    def make(self, cgroup: str, *, offers: str = "memory", hands_down: str = "memory") -> Path:
        folder = self.mounted / cgroup.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.controllers").write_text(f"cpu {offers}\n")
        (folder / "cgroup.subtree_control").write_text(f"cpu {hands_down}\n")
        return folder

    def _write(self) -> None:
        for name, lines in (("cgroup", self._cgroups), ("mountinfo", self._mounts)):
            (self.proc / name).write_bytes(os.fsencode("".join(f"{line}\n" for line in lines)))


def _escaped(path: Path | str) -> str:
    text = str(path).replace("\\", r"\134")
    for character in " \t\n":
        text = text.replace(character, f"\\{ord(character):03o}")
    return text


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_of_version_1_it_is_the_processs_own(machine: Machine) -> None:
    machine.mount("cgroup", "rw,cpu,cpuacct", at=machine.mounted.with_name("cpu"))
    machine.mount("cgroup2", "rw", at=machine.mounted.with_name("unified"))
    machine.mount("cgroup", "rw,memory")
    machine.enter("/elsewhere", "cpu,cpuacct")
    machine.enter("/jobs/mine", "memory")
    machine.enter("/")
    own = machine.make("/jobs/mine")

    assert find_place(machine.proc) == CgroupPlace(own, 1)


def test_of_version_2_it_is_the_one_above(machine: Machine) -> None:
    machine.mount("cgroup2", "rw,nsdelegate,memory_recursiveprot")
    machine.enter("/app.slice/mine.scope")
    above = machine.make("/app.slice")
    machine.make("/app.slice/mine.scope")

    assert find_place(machine.proc) == CgroupPlace(above, 2)


def test_a_cgroup_that_may_hand_memory_down_is_asked_to(machine: Machine) -> None:
    machine.mount("cgroup2", "rw")
    machine.enter("/mine.service/worker")
    above = machine.make("/mine.service", hands_down="")
    machine.make("/mine.service/worker")

    assert find_place(machine.proc) == CgroupPlace(above, 2)
    assert (above / "cgroup.subtree_control").read_text() == "+memory"


@pytest.mark.parametrize(
    ("root", "cgroup", "seen"),
    [
        ("/docker/abc", "/docker/abc", "/"),
        ("/docker/abc", "/docker/abc/worker", "/worker"),
        ("/", "/worker", "/worker"),
    ],
)
def test_a_container_sees_a_part_of_the_hierarchy(
    machine: Machine, root: str, cgroup: str, seen: str
) -> None:
    machine.mount("cgroup", "rw,memory", root=root)
    machine.enter(cgroup, "memory")
    own = machine.make(seen)

    assert find_place(machine.proc) == CgroupPlace(own, 1)


@pytest.mark.parametrize("cgroup", ["/docker/other", "/docker/abcd", "/docker/abc/../other", "/.."])
def test_what_a_container_does_not_see_is_no_place(machine: Machine, cgroup: str) -> None:
    machine.mount("cgroup", "rw,memory", root="/docker/abc")
    machine.enter(cgroup, "memory")
    for name in ("/", "/other", "/d", "/docker/other"):
        machine.make(name)
    machine.make("/../other")

    assert find_place(machine.proc) is None


def test_the_mounts_root_of_version_2_has_nothing_above(machine: Machine) -> None:
    machine.mount("cgroup2", "rw")
    machine.enter("/")
    machine.make("/")
    machine.make("/..")

    assert find_place(machine.proc) is None


def test_without_the_controller_there_is_no_place(machine: Machine) -> None:
    machine.mount("cgroup2", "rw")
    machine.enter("/a/b")
    above = machine.make("/a", offers="", hands_down="")
    machine.make("/a/b")

    assert find_place(machine.proc) is None
    assert (above / "cgroup.subtree_control").read_text() == "cpu \n"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("refused", ["", "cgroup.procs"])
def test_what_may_not_be_written_is_no_place(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: int, refused: str
) -> None:
    machine.mount(*(("cgroup", "rw,memory") if version == 1 else ("cgroup2", "rw")))
    machine.enter("/a/b", "memory" if version == 1 else "")
    place = machine.make("/a")
    own = machine.make("/a/b")
    assert find_place(machine.proc) is not None

    protected = (own if version == 1 else place) / refused
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != protected)

    assert find_place(machine.proc) is None


def test_a_mount_that_may_be_written_is_found_behind_one_that_may_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = machine.mounted.with_name("read-only")
    machine.mount("cgroup", "ro,memory", at=protected)
    machine.mount("cgroup", "rw,memory")
    machine.enter("/", "memory")
    own = machine.make("/")
    monkeypatch.setattr(os, "access", lambda path, _mode: protected not in [path, path.parent])

    assert find_place(machine.proc) == CgroupPlace(own, 1)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_system_without_cgroups_has_no_place(tmp_path: Path, is_there: bool) -> None:
    proc = Machine(tmp_path).proc if is_there else tmp_path

    assert find_place(proc) is None


@given(names, names, names)
def test_any_names_are_read(point: str, root: str, cgroup: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.mounted = Path(folder, f"-{point}")
        machine.mount("cgroup", "rw,memory", root=f"/{root}")
        machine.enter(f"/{root}/{cgroup}", "memory")
        own = machine.make(cgroup)

        assert find_place(machine.proc) == CgroupPlace(own, 1)


def test_a_name_that_cannot_be_told_is_no_place(machine: Machine) -> None:
    name = os.fsdecode(b"/mine\xff")
    machine.mount("cgroup", "rw,memory")
    machine.enter(name, "memory")
    machine.make(name)

    assert find_place(machine.proc) is None


def test_what_nobody_holds_was_left(tmp_path: Path) -> None:
    place = CgroupPlace(tmp_path, 1)
    held, descriptor = place.make()
    left, other = place.make()
    os.close(other)
    (tmp_path / "somebody-elses").mkdir()

    assert list(place.left()) == [left]

    os.close(descriptor)
    assert set(place.left()) == {left, held}


def test_one_that_somebody_removed_as_left_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make: Callable[..., str] = tempfile.mkdtemp
    made: list[str] = []

    def lose_the_first(**options: str) -> str:
        folder = make(**options)
        if not made:
            Path(folder).rmdir()
        made.append(folder)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", lose_the_first)
    folder, descriptor = CgroupPlace(tmp_path, 1).make()
    os.close(descriptor)

    assert [str(folder)] == made[1:]
    assert folder.is_dir()
