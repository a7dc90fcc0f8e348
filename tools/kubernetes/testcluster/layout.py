"""Where a test cluster keeps what, and the addresses that it uses in its network namespace."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from testcluster.errors import ClusterError

NODE_IP = "10.42.0.1"
POD_NETWORK = "10.42.0.0/24"
SERVICE_NETWORK = "10.43.0.0/24"
DNS_IP = "10.43.0.10"
API_IP = "10.43.0.1"
API_PORT = 6443
REGISTRY_PORT = 5000
FOLDER_VARIABLE = "MODELOPS_TEST_CLUSTERS"


@dataclass(frozen=True)
class Layout:
    """The names and folders of one cluster; all are derived from its name."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", self.name):
            raise ClusterError(
                f"{self.name!r} can't name a cluster: up to 40 of a-z, 0-9 and -, a letter first."
            )

    @property
    def folder(self) -> Path:
        """All state of the cluster, readable by root only."""
        base = os.environ.get(FOLDER_VARIABLE) or "/var/lib/modelops-test-clusters"
        return Path(base).absolute() / self.name

    @property
    def namespace(self) -> Path:
        """The network namespace's file, for `nsenter --net=`."""
        return Path("/run/netns") / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def certificates(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def socket(self) -> Path:
        """The socket of containerd."""
        return self.folder / "containerd.sock"

    @property
    def registry(self) -> str:
        """Host and port of the registry."""
        return f"{NODE_IP}:{REGISTRY_PORT}"

    @property
    def registry_trust(self) -> Path:
        """The folder that tells containerd and skopeo to trust the registry."""
        return self.folder / "registries" / self.registry

    @property
    def ready(self) -> Path:
        """The file that is there once the cluster has been ready."""
        return self.folder / "ready"

    def log(self, part: str) -> Path:
        """The log of a part."""
        return self.folder / "logs" / f"{part}.log"
