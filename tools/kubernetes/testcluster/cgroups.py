"""The cgroups below which all pods of a cluster run, in cgroup v1 and v2."""

import contextlib
from pathlib import Path

from testcluster.layout import Layout


def create(layout: Layout) -> None:
    """Make the cluster's cgroup in every hierarchy."""
    for mount in _hierarchies():
        group = mount / layout.name
        group.mkdir(exist_ok=True)
        # A cpuset of v1 is empty at first, and then takes no process.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists() and not (mount / "cgroup.controllers").exists():
                (group / name).write_text((mount / name).read_text())
        if (mount / "cgroup.controllers").exists():
            offered = (mount / "cgroup.controllers").read_text().split()
            for controller in offered:
                for level in (mount, group):
                    with contextlib.suppress(OSError):
                        (level / "cgroup.subtree_control").write_text(f"+{controller}")


def processes(layout: Layout) -> set[int]:
    """Return the pids of what runs in the cluster's pods."""
    found: set[int] = set()
    for group in all_of(layout):
        with contextlib.suppress(OSError):
            found.update(map(int, (group / "cgroup.procs").read_text().split()))
    return found


def delete(layout: Layout) -> list[Path]:
    """Remove the cluster's cgroups, of which no process may be left; return those that stay."""
    left = []
    for group in all_of(layout):
        try:
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            left.append(group)
    return left


def all_of(layout: Layout) -> list[Path]:
    """Return the cluster's cgroups of all hierarchies, children before their parents."""
    groups: list[Path] = []
    for mount in _hierarchies():
        top = mount / layout.name
        if top.is_dir():
            below = [path for path in top.rglob("*") if path.is_dir()]
            groups += sorted(below, key=lambda path: len(path.parts), reverse=True)
            groups.append(top)
    return groups


def _hierarchies() -> list[Path]:
    lines = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    mounts = {Path(fields[1]) for fields in lines if fields[2] in ("cgroup", "cgroup2")}
    return sorted(mounts)
