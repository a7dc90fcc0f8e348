"""Where this process may make cgroups that limit memory (cgroups(7)), if anywhere."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PREFIX = "modelops-child-"
_CONTROLLER = "memory"
_AS_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CgroupPlace(NamedTuple):
    """A cgroup in which others can be made.

    Each of them is locked by the process that made it, for as long as it's used: one that nobody
    holds belonged to a worker that was killed.

    Attributes:
        folder: its place in the file system.
        version: of the kernel's interface, 1 or 2.
    """

    folder: Path
    version: int

    def make(self) -> tuple[Path, int]:
        """Make a cgroup; return it and the descriptor that locks it.

        Raises:
            OSError: if that isn't allowed.
        """
        # Until it's locked, somebody may take it for one that was left, and remove it.
        while (descriptor := _locked(folder := self._new_folder())) is None:
            pass
        return folder, descriptor

    def left(self) -> Iterator[Path]:
        """Yield those that nobody holds; each is locked until the next is asked for."""
        for folder in self.folder.glob(f"{_PREFIX}*"):
            try:
                descriptor = os.open(folder, _AS_FOLDER)
            except OSError:
                # It went away by itself, or is another user's.
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                yield folder
            finally:
                os.close(descriptor)

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.folder))


def find_place(proc: Path = Path("/proc/self")) -> CgroupPlace | None:
    """Return where this process may make cgroups that limit memory; None if nowhere.

    With version 1 that is in its own cgroup. With version 2 it's beside its own: there a cgroup
    that has processes can't hand a controller down.

    Args:
        proc: where the kernel tells about the process.
    """
    try:
        cgroups = _own_cgroups(proc)
        mounts = list(_mounts(proc))
    except OSError:
        return None
    version = 1 if _CONTROLLER in cgroups else 2
    name = _CONTROLLER if version == 1 else ""
    for mount in mounts:
        own = mount.folder_of(cgroups.get(name, "")) if name in mount.controllers else None
        if own is None:
            continue
        if version == 1 and _is_writable(own):
            return CgroupPlace(own, 1)
        above = own.parent
        if version == 2 and own != mount.point and _is_writable(above) and _hands_down(above):
            return CgroupPlace(above, 2)
    return None


class _Mount(NamedTuple):
    """A mounted hierarchy of cgroups; that of version 2 has the controller ``."""

    root: str
    point: Path
    controllers: frozenset[str]

    def folder_of(self, cgroup: str) -> Path | None:
        """Return where a cgroup is seen; None if it isn't."""
        root = self.root.rstrip("/")
        # A process may be outside of what its container sees: /../other.
        if not f"{cgroup}/".startswith(f"{root}/") or "/../" in f"{cgroup}/":
            return None
        folder = self.point / cgroup.removeprefix(root).strip("/")
        return folder if folder.is_dir() else None


def _own_cgroups(proc: Path) -> dict[str, str]:
    """Return controller → the process's cgroup (cgroups(7), /proc/pid/cgroup)."""
    found = {}
    for line in _lines(proc / "cgroup"):
        _, controllers, cgroup = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), cgroup))
    return found


def _mounts(proc: Path) -> Iterator[_Mount]:
    """Yield the hierarchies that are mounted (proc_pid_mountinfo(5))."""
    for line in _lines(proc / "mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            controllers = frozenset(options.split(",") if kind == "cgroup" else [""])
            root, point = map(_unescaped, before.split(" ")[3:5])
            yield _Mount(root, Path(point), controllers)


def _lines(path: Path) -> list[str]:
    # A child is told the folder in UTF-8: what has another name isn't found.
    text = path.read_bytes().decode("utf-8", "replace")
    return [line for line in text.split("\n") if line]


def _unescaped(text: str) -> str:
    for character in " \t\n\\":
        text = text.replace(f"\\{ord(character):03o}", character)
    return text


def _is_writable(folder: Path) -> bool:
    # Who moves a process has to be allowed to write to the file of the cgroup above both.
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _hands_down(folder: Path) -> bool:
    """Whether cgroups below one of version 2 have the controller, after it was asked to hand it."""
    control = folder / "cgroup.subtree_control"
    try:
        if _CONTROLLER not in control.read_text().split():
            if _CONTROLLER not in (folder / "cgroup.controllers").read_text().split():
                return False
            control.write_text(f"+{_CONTROLLER}")
    except OSError:
        return False
    return True


def _locked(folder: Path) -> int | None:
    """Lock a cgroup as one that is used; None if it's gone by then."""
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(folder, _AS_FOLDER)
        except FileNotFoundError:
            return None
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not folder.is_dir():
            return None
        stack.pop_all()
        return descriptor
