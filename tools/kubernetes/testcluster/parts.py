"""The processes that a cluster is made of: their commands, configuration and health."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from testcluster import images, network
from testcluster.certificates import Authority, new_key, write_kubeconfig
from testcluster.layout import (
    API_IP,
    API_PORT,
    DNS_IP,
    NODE_IP,
    POD_NETWORK,
    SERVICE_NETWORK,
    Layout,
)
from testcluster.programs import PLUGINS, Programs

SERVER = f"https://{NODE_IP}:{API_PORT}"


@dataclass(frozen=True)
class Part:
    """A process of the cluster.

    Attributes:
        name: of the part, its log and its record.
        command: which runs in the cluster's network namespace.
        health: URL that answers 200 once it is ready; empty where a file says so.
        appears: the file (a socket) that is there once it listens, where there is no URL.
    """

    name: str
    command: list[str]
    health: str = ""
    appears: Path | None = None


def write_configuration(layout: Layout) -> None:
    """Write all keys, certificates and configuration files of a new cluster."""
    folder = layout.folder
    ca = Authority(layout.certificates)
    new_key(layout.certificates / "service-accounts.key")
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    hosts = (NODE_IP, API_IP, "localhost", *names, f"{names[-1]}.cluster.local")
    ca.issue("apiserver", "kube-apiserver", hosts=hosts)
    ca.issue("apiserver-to-kubelet", "kube-apiserver-kubelet-client", "system:masters")
    ca.issue("kubelet-server", f"system:node:{layout.name}", "system:nodes", (NODE_IP, layout.name))
    ca.issue("registry", "registry", hosts=(NODE_IP, "localhost"))
    users = {
        "kubelet": ca.issue("kubelet", f"system:node:{layout.name}", "system:nodes"),
        "controller-manager": ca.issue("controller-manager", "system:kube-controller-manager"),
        "scheduler": ca.issue("scheduler", "system:kube-scheduler"),
        "router": ca.issue("router", "modelops-test:kube-router"),
        "proxy": ca.issue("proxy", "system:kube-proxy"),
    }
    for name, pair in users.items():
        write_kubeconfig(layout.certificates / f"{name}.kubeconfig", SERVER, ca.certificate, pair)
    admin = ca.issue("admin", "admin", "system:masters")
    write_kubeconfig(layout.kubeconfig, SERVER, ca.certificate, admin)
    (folder / "logs").mkdir()
    (folder / "processes").mkdir()
    (folder / "volumes").mkdir(mode=0o711)
    # Names outside of the cluster are asked of nobody.
    (folder / "resolv.conf").write_text("")
    network.write_plugin_configuration(layout, folder / "cni")
    _write_registry(layout)
    (folder / "containerd.toml").write_text(_containerd(layout))
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(layout)))
    (folder / "kube-proxy.yaml").write_text(yaml.safe_dump(_kube_proxy(layout)))


def all_parts(layout: Layout, programs: Programs) -> dict[str, Part]:
    """Return all parts by their names."""
    parts = foundation(layout, programs) + workers(layout, programs)
    return {part.name: part for part in parts}


def foundation(layout: Layout, programs: Programs) -> list[Part]:
    """Return what takes objects and images, without acting on them yet."""
    folder, pki = layout.folder, layout.certificates
    return [
        Part(
            "etcd",
            [
                str(programs.etcd),
                f"--data-dir={folder}/etcd",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                "--initial-cluster=default=http://127.0.0.1:2380",
                # The cluster doesn't outlive the machine's next start.
                "--unsafe-no-fsync",
            ],
            health="http://127.0.0.1:2379/health",
        ),
        Part(
            "containerd",
            ["containerd", f"--config={folder}/containerd.toml"],
            appears=layout.socket,
        ),
        Part(
            "registry",
            [str(programs.registry), "serve", f"{folder}/registry.yaml"],
            health=f"https://{layout.registry}/v2/",
        ),
        Part(
            "kube-apiserver",
            [
                str(programs.named("kube-apiserver")),
                f"--advertise-address={NODE_IP}",
                f"--bind-address={NODE_IP}",
                f"--secure-port={API_PORT}",
                "--etcd-servers=http://127.0.0.1:2379",
                f"--service-cluster-ip-range={SERVICE_NETWORK}",
                "--allow-privileged=true",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction,PodSecurity",
                f"--client-ca-file={pki}/ca.crt",
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
                "--kubelet-preferred-address-types=InternalIP",
                f"--kubelet-certificate-authority={pki}/ca.crt",
                f"--kubelet-client-certificate={pki}/apiserver-to-kubelet.crt",
                f"--kubelet-client-key={pki}/apiserver-to-kubelet.key",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-account-key-file={pki}/service-accounts.key",
                f"--service-account-signing-key-file={pki}/service-accounts.key",
            ],
            health=f"{SERVER}/readyz",
        ),
    ]


def workers(layout: Layout, programs: Programs) -> list[Part]:
    """Return what acts on the API server's objects."""
    folder, pki = layout.folder, layout.certificates
    return [
        Part(
            "kube-controller-manager",
            [
                str(programs.named("kube-controller-manager")),
                f"--kubeconfig={pki}/controller-manager.kubeconfig",
                f"--authentication-kubeconfig={pki}/controller-manager.kubeconfig",
                f"--authorization-kubeconfig={pki}/controller-manager.kubeconfig",
                "--bind-address=127.0.0.1",
                f"--root-ca-file={pki}/ca.crt",
                f"--service-account-private-key-file={pki}/service-accounts.key",
                "--use-service-account-credentials=true",
                "--leader-elect=false",
            ],
            health="https://127.0.0.1:10257/healthz",
        ),
        Part(
            "kube-scheduler",
            [
                str(programs.named("kube-scheduler")),
                f"--kubeconfig={pki}/scheduler.kubeconfig",
                f"--authentication-kubeconfig={pki}/scheduler.kubeconfig",
                f"--authorization-kubeconfig={pki}/scheduler.kubeconfig",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ],
            health="https://127.0.0.1:10259/healthz",
        ),
        Part(
            "kubelet",
            [
                str(programs.named("kubelet")),
                f"--config={folder}/kubelet.yaml",
                f"--kubeconfig={pki}/kubelet.kubeconfig",
                f"--hostname-override={layout.name}",
                f"--node-ip={NODE_IP}",
                f"--root-dir={folder}/kubelet",
            ],
            health="http://127.0.0.1:10248/healthz",
        ),
        Part(
            "kube-proxy",
            [
                str(programs.named("kube-proxy")),
                f"--config={folder}/kube-proxy.yaml",
                f"--hostname-override={layout.name}",
            ],
            health="http://127.0.0.1:10256/healthz",
        ),
        Part(
            "kube-router",
            [
                str(programs.kube_router),
                f"--kubeconfig={pki}/router.kubeconfig",
                f"--hostname-override={layout.name}",
                f"--service-cluster-ip-range={SERVICE_NETWORK}",
                # It enforces network policies; the rest is done by others.
                "--run-firewall=true",
                "--run-router=false",
                "--run-service-proxy=false",
                "--enable-cni=false",
                "--health-port=20244",
            ],
            health="http://127.0.0.1:20244/healthz",
        ),
    ]


def _kubelet(layout: Layout) -> dict[str, object]:
    folder, pki = layout.folder, layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet-server.key",
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{folder}/resolv.conf",
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/volume-plugins",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        # The machine's disk may be well filled, and its images aren't worth a thought.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "registerNode": True,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
    }


def _kube_proxy(layout: Layout) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{layout.certificates}/proxy.kubeconfig"},
        "mode": "iptables",
        "bindAddress": NODE_IP,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": POD_NETWORK,
        "iptables": {"minSyncPeriod": "100ms"},
        # The machine's own, not the namespace's: left as they are.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def _write_registry(layout: Layout) -> None:
    folder, pki = layout.folder, layout.certificates
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": f"{folder}/registry"},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": layout.registry,
            "tls": {"certificate": f"{pki}/registry.crt", "key": f"{pki}/registry.key"},
        },
    }
    (folder / "registry.yaml").write_text(yaml.safe_dump(configuration))
    known = layout.registry_trust
    known.mkdir(parents=True)
    # Both containerd and skopeo read this folder.
    (known / "ca.crt").write_bytes((pki / "ca.crt").read_bytes())
    (known / "hosts.toml").write_text(
        f'server = "https://{layout.registry}"\n'
        f'[host."https://{layout.registry}"]\n'
        f'  capabilities = ["pull", "resolve"]\n'
        f'  ca = "{known}/ca.crt"\n'
    )


def _containerd(layout: Layout) -> str:
    folder = layout.folder
    return f"""\
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"

[grpc]
address = "{layout.socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{images.BUSYBOX_IMAGE}"
netns_mounts_under_state_dir = true
# Without CAP_SYS_RESOURCE no process can lower its score, and no sandbox would start.
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{folder}/runc"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{folder}/cni"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{folder}/registries"
"""
