"""The network namespace that a cluster lives in: without an uplink, so nothing can leave it."""

import contextlib
import ctypes
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from testcluster.errors import ClusterError
from testcluster.layout import NODE_IP, POD_NETWORK, Layout

_CLONE_NEWNET = 0x40000000


def create(layout: Layout) -> None:
    """Make the namespace with a bridge for pods, whose address is the node's."""
    prefix = POD_NETWORK.rpartition("/")[2]
    _run(["ip", "netns", "add", layout.name])
    for command in (
        "ip link set lo up",
        "ip link add cni0 type bridge",
        f"ip address add {NODE_IP}/{prefix} dev cni0",
        "ip link set cni0 up",
        # Services' addresses need a way out to be translated on; there is none but the bridge.
        "ip route add default dev cni0",
    ):
        _run([*enter(layout.namespace), *command.split()])
    with inside(layout.namespace):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        # So that the rules for services see what goes from pod to pod over the bridge.
        over_bridges = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
        if over_bridges.exists():
            over_bridges.write_text("1")


def delete(layout: Layout) -> None:
    """Delete the namespace, if it is there, with all interfaces in it."""
    if layout.namespace.exists():
        _run(["ip", "netns", "delete", layout.name])


def enter(namespace: Path) -> list[str]:
    """Return what to put before a command that shall run in a network namespace.

    `ip netns exec` would hide the cgroup mounts.
    """
    return ["nsenter", f"--net={namespace}", "--"]


@contextlib.contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """Have this thread use a namespace's network meanwhile, and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)

    def join(file: int) -> None:
        if libc.setns(file, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        wanted = os.open(namespace, os.O_RDONLY)
        try:
            join(wanted)
        finally:
            os.close(wanted)
        try:
            yield
        finally:
            join(before)
    finally:
        os.close(before)


def write_plugin_configuration(layout: Layout, folder: Path) -> None:
    """Tell containerd how pods are put on the bridge; its state is in the cluster's folder."""
    folder.mkdir(parents=True)
    configuration = {
        "cniVersion": "0.4.0",
        "name": layout.name,
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_NETWORK, "gateway": NODE_IP}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(layout.folder / "addresses"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    (folder / "10-bridge.conflist").write_text(json.dumps(configuration))


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
