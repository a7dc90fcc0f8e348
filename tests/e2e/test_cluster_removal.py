"""Whatever becomes of a cluster or of who started it, nothing of it stays on the machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
import stamina

import testcluster.cluster
from testcluster import Cluster, ClusterError, teardown
from testcluster.images import BUSYBOX_IMAGE
from testcluster.layout import Layout
from testcluster.programs import built_programs

pytestmark = [
    pytest.mark.k8s,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("may_start_clusters"),
]

START = """\
import os, signal, sys
from testcluster import Cluster
cluster = Cluster(sys.argv[1])
if sys.argv[2] == "kept":
    cluster.__enter__()
else:
    cluster.start()
print("started", flush=True)
signal.pause()
"""


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"modelops-removal-{os.getpid()}"
    yield chosen
    Cluster(chosen).stop()


@dataclass
class Machine:
    """What clusters could leave on this machine, looked for in other ways than teardown does."""

    name: str
    found: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.found = self.look()

    def look(self) -> set[str]:
        """Return all mounts, namespaces, cgroups, files, links and processes of the cluster."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found = {line.split()[4] for line in mounts if self.name in line}
        for pattern in ("*", "*/*"):
            found |= {str(path) for path in Path("/sys/fs/cgroup").glob(f"{pattern}{self.name}*")}
        found |= {str(path) for path in Path("/run/netns").glob(f"*{self.name}*")}
        results = Path("/var/lib/cni/results").glob("*")
        found |= {str(path) for path in results if self.name in text_of(path)}
        logs = Path("/var/log/containers").glob("*")
        found |= {str(path) for path in logs if self.name in target_of(path)}
        found |= {str(Layout(self.name).folder)} if Layout(self.name).folder.exists() else set()
        for process in psutil.process_iter(["cmdline"]):
            command = " ".join(process.info["cmdline"] or [])
            if f"/{self.name}/" in command:
                found.add(command)
        return found


def test_a_removed_cluster_leaves_nothing(name: str) -> None:
    machine = Machine(name)
    with Cluster(name) as cluster:
        cluster.kubectl("create", "deployment", "web", f"--image={BUSYBOX_IMAGE}", "--replicas=2")
        cluster.kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=50s")
        assert machine.look() > machine.found
        states = cluster.layout.folder.rglob("io.containerd.runtime.v2.task/*/*/address")
        shims = [Path(file.read_text().removeprefix("unix://")) for file in states]
        assert len(shims) >= 4
    assert not any(socket.exists() for socket in shims)
    assert machine.look() <= machine.found
    assert teardown.leftovers(cluster.layout) == []


def test_a_cluster_of_a_killed_process_is_removed(name: str) -> None:
    machine = Machine(name)
    kill_once_started(name, "kept")
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=60):
        with attempt:
            assert teardown.leftovers(Layout(name)) == []
    assert machine.look() <= machine.found


def test_a_new_cluster_replaces_what_another_left(name: str) -> None:
    machine = Machine(name)
    kill_once_started(name, "left")
    assert teardown.leftovers(Layout(name)) != []
    with Cluster(name) as cluster:
        assert cluster.is_ready()
    assert machine.look() <= machine.found


def test_a_cluster_that_does_not_start_says_why_and_leaves_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(name)
    for program in (
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ):
        (tmp_path / program).symlink_to(built_programs().named(program))
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    broken.chmod(0o755)
    programs = replace(built_programs(), kubernetes=tmp_path)
    monkeypatch.setattr(testcluster.cluster, "require_all", lambda: programs)
    with pytest.raises(ClusterError, match=r"kube-apiserver ended(.|\n)*out of luck"):
        Cluster(name).start()
    assert machine.look() <= machine.found
    assert teardown.leftovers(Layout(name)) == []


def test_two_clusters_run_at_once_and_know_nothing_of_each_other(
    name: str, own_cluster: Cluster
) -> None:
    own_cluster.kubectl("create", "namespace", name)
    with Cluster(name) as other:
        assert other.kubectl("get", "nodes", "--output=name") == f"node/{name}\n"
        assert name not in other.kubectl("get", "namespaces", "--output=name")
    assert own_cluster.is_ready()
    own_cluster.kubectl("delete", "namespace", name)


def kill_once_started(name: str, how: str) -> None:
    """Start a cluster in another process, and kill that; `how` is "kept" or "left"."""
    starter = subprocess.Popen(
        [sys.executable, "-c", START, name, how],
        env={**os.environ, "PYTHONPATH": str(Path(testcluster.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        starter.send_signal(signal.SIGKILL)


def text_of(path: Path) -> str:
    """Return a file's text; nothing if it is gone by now, as other clusters' may be."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def target_of(link: Path) -> str:
    """Return where a link leads; nothing if it is gone by now."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
