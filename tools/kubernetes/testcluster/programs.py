"""The programs that a test cluster is made of, and what this machine lacks of them."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from modelops.core.tools import cached_registry, tool_cache
from testcluster.errors import ClusterError

PLUGINS = Path("/usr/lib/cni")
BUSYBOX = Path("/bin/busybox")

# Debian's and Ubuntu's package of each program that isn't ours to build.
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "skopeo": "skopeo",
}

_SOURCE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Programs:
    """Where the programs are that `make k8s-tools` builds."""

    etcd: Path
    kubernetes: Path
    coredns: Path
    local_path: Path
    kube_router: Path
    registry: Path

    def named(self, part: str) -> Path:
        """Return one of Kubernetes's own programs."""
        return self.kubernetes / part

    def all(self) -> list[Path]:
        """Return the path of each program."""
        own = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        own += ["kubelet", "kube-proxy", "kubectl"]
        others = [self.etcd, self.coredns, self.local_path, self.kube_router, self.registry]
        return [*others, *map(self.named, own)]


def built_programs() -> Programs:
    """Return where the programs of the pinned versions are, whether they are built or not."""

    def built(folder: str, name: str, module: str) -> Path:
        lines = (_SOURCE / folder / "go.mod").read_text().splitlines()
        words = (line.split() for line in lines)
        version = next(found[1] for found in words if len(found) > 1 and found[0] == module)
        return tool_cache() / f"{name}-{version}"

    return Programs(
        etcd=built("etcd", "etcd", "go.etcd.io/etcd/server/v3") / "etcd",
        kubernetes=built("k8s", "kubernetes", "k8s.io/kubernetes"),
        coredns=built("coredns", "coredns", "github.com/coredns/coredns") / "coredns",
        local_path=built("local-path", "local-path", "github.com/rancher/local-path-provisioner")
        / "local-path-provisioner",
        kube_router=built("kube-router", "kube-router", "github.com/cloudnativelabs/kube-router/v2")
        / "kube-router",
        registry=cached_registry(),
    )


def what_is_missing() -> str:
    """Say what keeps this machine from running a cluster, and what to do; empty if nothing does."""
    if os.geteuid() != 0:
        return "a Kubernetes of our own needs root (network namespaces, mounts, cgroups)"
    packages = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if not (PLUGINS / "bridge").exists():
        packages.add("containernetworking-plugins")
    if not _is_static(BUSYBOX):
        packages.add("busybox-static")
    if packages:
        named = " ".join(sorted(packages))
        return (
            f"packages are missing; install them: apt-get install --no-install-recommends {named}"
        )
    unbuilt = [path.name for path in built_programs().all() if not os.access(path, os.X_OK)]
    if unbuilt:
        return f"{', '.join(unbuilt)} must be built first, which takes minutes: make k8s-tools"
    return ""


def require_all() -> Programs:
    """Return the programs.

    Raises:
        ClusterError: if this machine lacks something.
    """
    missing = what_is_missing()
    if missing:
        raise ClusterError(f"No cluster can run here: {missing}.")
    return built_programs()


def _is_static(program: Path) -> bool:
    if not program.exists():
        return False
    checked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)  # noqa: S607
    return checked.returncode != 0
