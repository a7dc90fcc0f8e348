"""Removing a cluster: all of it, in whatever state it is."""

import contextlib
import shutil
import subprocess
from pathlib import Path

from testcluster import cgroups, network, processes
from testcluster.errors import ClusterError
from testcluster.layout import Layout

_ROUNDS = 20
# Places outside of the cluster's folder that can't be set; see `_files_elsewhere`.
_PLUGIN_RESULTS = Path("/var/lib/cni/results")
_LOG_LINKS = Path("/var/log/containers")


def remove(layout: Layout) -> None:
    """Remove a cluster and all traces of it; nothing happens if there is none.

    Raises:
        ClusterError: if something can't be removed, with what it is.
    """
    # What is ended may have started others meanwhile, as shims do.
    for _ in range(_ROUNDS):
        running = processes.all_of(layout)
        if not running:
            break
        processes.end(running)
    elsewhere = _files_elsewhere(layout)
    for path in elsewhere:
        path.unlink(missing_ok=True)
    for mount in _mounts(layout):
        _unmount(mount)
    network.delete(layout)
    cgroups.delete(layout)
    shutil.rmtree(layout.folder, ignore_errors=True)
    left = leftovers(layout)
    if left:
        raise ClusterError(
            f"Of the cluster {layout.name} this couldn't be removed:\n" + "\n".join(left)
        )


def leftovers(layout: Layout) -> list[str]:
    """Say what there is of a cluster: processes, mounts, network namespace, cgroups, files."""
    return [
        *(f"process {process.pid}" for process in processes.all_of(layout)),
        *(f"mount {mount}" for mount in _mounts(layout)),
        *([f"network namespace {layout.name}"] if layout.namespace.exists() else []),
        *(f"cgroup {group}" for group in cgroups.all_of(layout)),
        *(f"file {path}" for path in _files_elsewhere(layout)),
        *([f"folder {layout.folder}"] if layout.folder.exists() else []),
    ]


def _mounts(layout: Layout) -> list[Path]:
    """Return the mount points in the cluster's folder, the innermost first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point.is_relative_to(layout.folder):
            found.append(point)
    return sorted(found, key=lambda point: len(point.parts), reverse=True)


def _unmount(point: Path) -> None:
    for lazily in ([], ["-l"]):
        done = subprocess.run(["umount", *lazily, point], capture_output=True, check=False)  # noqa: S607
        if done.returncode == 0:
            return


def _files_elsewhere(layout: Layout) -> list[Path]:
    """Return the cluster's files in places that it shares with others.

    Those are the sockets of shims, the results of network plugins and the links to pods' logs.
    """
    found = set[Path]()
    tasks = layout.folder / "containerd/state/io.containerd.runtime.v2.task"
    for address in tasks.glob("*/*/address"):
        with contextlib.suppress(OSError):
            socket = Path(address.read_text().removeprefix("unix://"))
            found |= {socket} if socket.exists() else set()
    # Each names the pod's network namespace, whose file is in the cluster's folder.
    for result in _PLUGIN_RESULTS.glob("*"):
        with contextlib.suppress(OSError):
            found |= {result} if f"{layout.folder}/" in result.read_text() else set()
    for link in _LOG_LINKS.glob("*.log"):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(layout.folder):
                found.add(link)
    return sorted(found)
