"""What end-to-end tests may rely on in the cluster that they use."""

import json
import re

import pytest

from kubernetes_namespace import RESTRICTED, KubernetesNamespace, service
from testcluster import Access, Cluster, ClusterError
from testcluster.layout import API_IP

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(180, func_only=True)]

SERVE = "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"


def test_the_node_is_ready_and_runs_the_pinned_version(own_cluster: Cluster) -> None:
    node = json.loads(own_cluster.kubectl("get", "nodes", "--output=json"))["items"][0]
    conditions = {found["type"]: found["status"] for found in node["status"]["conditions"]}
    assert node["metadata"]["name"] == own_cluster.name
    assert conditions["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.34.")


def test_a_service_is_reached_by_name_and_address_from_another_pod(
    namespace: KubernetesNamespace,
) -> None:
    namespace.apply(namespace.deployment("web", 2, SERVE), service("web", 80, 8080))
    namespace.run_pod(namespace.pod("client"))
    namespace.wait("deployment/web", "condition=Available")
    address = namespace.kubectl("get", "service/web", "--output=jsonpath={.spec.clusterIP}")
    pods = namespace.kubectl("get", "pods", "--selector=app=web", "--output=name")
    names = {line.removeprefix("pod/") for line in pods.split()}
    assert len(names) == 2
    fetch = "timeout 10 wget -q -O-"
    # The node may learn a moment later than the Deployment that its pods are ready.
    first = f"for i in $(seq 50); do {fetch} http://web/ >/dev/null && break; sleep 0.2; done"
    ask = f"{first}; for i in $(seq 30); do {fetch} http://web/; {fetch} http://{address}/; done"
    answers = namespace.shell("client", ask).split()
    assert len(answers) == 60
    assert set(answers) == names


def test_names_are_resolved_in_the_cluster_and_nowhere_else(
    own_cluster: Cluster, namespace: KubernetesNamespace
) -> None:
    namespace.run_pod(namespace.pod("client"))
    assert API_IP in namespace.shell("client", "nslookup kubernetes.default.svc.cluster.local")
    with pytest.raises(ClusterError, match="NXDOMAIN"):
        namespace.shell("client", "nslookup name.example.")


def test_logs_exec_and_forwarded_ports_go_through_the_api_server(
    cluster: Access, namespace: KubernetesNamespace
) -> None:
    namespace.run_pod(namespace.pod("web", f"echo begun; {SERVE}"))
    assert namespace.kubectl("logs", "web") == "begun\n"
    assert namespace.shell("web", "echo $((6 * 7))") == "42\n"
    forward = ["kubectl", f"--namespace={namespace.name}", "port-forward", "pod/web", ":8080"]
    with cluster.start_command(forward) as forwarding:
        try:
            assert forwarding.stdout is not None
            port = re.search(r"127\.0\.0\.1:(\d+)", forwarding.stdout.readline())
            assert port is not None
            fetched = cluster.run(["busybox", "wget", "-qO-", f"http://127.0.0.1:{port[1]}/"])
        finally:
            forwarding.kill()
    assert fetched.stdout == "web\n"


def test_a_restricted_pod_runs_as_user_1000_within_its_limits(
    namespace: KubernetesNamespace,
) -> None:
    namespace.restrict()
    limits = {"cpu": "100m", "memory": "32Mi"}
    small = namespace.pod("small", securityContext=RESTRICTED, resources={"limits": limits})
    namespace.run_pod(small)
    assert namespace.shell("small", "id -u") == "1000\n"
    with pytest.raises(ClusterError, match="Read-only file system"):
        namespace.shell("small", "echo > /tmp/file")
    with pytest.raises(ClusterError, match="137"):
        namespace.shell("small", "tail /dev/zero")


def test_pods_that_break_the_restricted_standard_are_refused(
    namespace: KubernetesNamespace,
) -> None:
    namespace.restrict()
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        namespace.apply(namespace.pod("root"))


def test_service_accounts_may_do_only_what_roles_grant(namespace: KubernetesNamespace) -> None:
    asked = ["auth", "can-i", "list", "secrets"]
    asked.append(f"--as=system:serviceaccount:{namespace.name}:default")
    with pytest.raises(ClusterError, match=r"\nno\n"):
        namespace.kubectl(*asked)
    namespace.kubectl("create", "role", "reader", "--verb=list", "--resource=secrets")
    account = f"--serviceaccount={namespace.name}:default"
    namespace.kubectl("create", "rolebinding", "reader", "--role=reader", account)
    assert namespace.kubectl(*asked) == "yes\n"


def test_nodes_may_not_change_what_is_not_theirs(
    own_cluster: Cluster, namespace: KubernetesNamespace
) -> None:
    kubelet = own_cluster.layout.certificates / "kubelet.kubeconfig"
    namespace.kubectl("create", "secret", "generic", "unused", "--from-literal=key=value")
    with pytest.raises(ClusterError, match="Forbidden"):
        namespace.kubectl(f"--kubeconfig={kubelet}", "get", "secret", "unused")
    with pytest.raises(ClusterError, match="is not allowed to modify labels"):
        own_cluster.kubectl(
            f"--kubeconfig={kubelet}", "label", "node", own_cluster.name,
            "node-restriction.kubernetes.io/trusted=yes",
        )  # fmt: skip


def test_a_volume_is_provided_and_keeps_what_is_written(namespace: KubernetesNamespace) -> None:
    namespace.restrict()
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Mi"}},
        },
    }
    namespace.apply(claim)
    for name, script in (("writer", "echo kept > /data/file"), ("reader", "cat /data/file")):
        mount = {"name": "data", "mountPath": "/data"}
        described = namespace.pod(name, script, securityContext=RESTRICTED, volumeMounts=[mount])
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        described["spec"]["volumes"] = [volume]
        namespace.apply(described)
        namespace.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
    namespace.wait("pvc/data", "jsonpath={.status.phase}=Bound")
    assert namespace.kubectl("logs", "reader") == "kept\n"


def test_images_are_pulled_from_the_registry_by_digest(
    own_cluster: Cluster, namespace: KubernetesNamespace
) -> None:
    reference = own_cluster.push_image(own_cluster.busybox_archive(), f"{namespace.name}/busybox")
    assert re.fullmatch(r"[0-9.:]+/test-[0-9a-f]+/busybox@sha256:[0-9a-f]{64}", reference)
    namespace.run_pod(namespace.pod("pulled", image=reference, imagePullPolicy="Always"))
    status = "--output=jsonpath={.status.containerStatuses[0].imageID}"
    assert namespace.kubectl("get", "pod/pulled", status) == reference


def test_there_is_no_way_out_of_the_clusters_network(own_cluster: Cluster) -> None:
    links = json.loads(own_cluster.run(["ip", "-json", "-details", "link"]).stdout)
    up = {link["ifname"]: link for link in links if "UP" in link["flags"]}
    pods = {name for name in up if name.startswith("veth")}
    assert up.keys() - pods == {"lo", "cni0"}
    # Each pod's link ends in a namespace that containerd made; none ends on the machine.
    assert all(up[name]["master"] == "cni0" for name in pods)
    routes = json.loads(own_cluster.run(["ip", "-json", "route"]).stdout)
    assert {route["dev"] for route in routes} == {"cni0"}
    assert not any("gateway" in route for route in routes)


@pytest.mark.parametrize("part", ["etcd", "kube-apiserver", "kubelet", "containerd", "registry"])
def test_pods_go_on_while_a_part_is_killed_and_started_again(
    own_cluster: Cluster, namespace: KubernetesNamespace, part: str
) -> None:
    namespace.run_pod(namespace.pod("steady"))
    own_cluster.restart(part)
    namespace.run_pod(namespace.pod("later"))
    status = "--output=jsonpath={.status.containerStatuses[0].restartCount}"
    assert namespace.kubectl("get", "pod/steady", status) == "0"
    assert namespace.shell("steady", "echo here") == "here\n"


def test_the_kubeconfig_is_for_its_owner_only(own_cluster: Cluster) -> None:
    assert own_cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
