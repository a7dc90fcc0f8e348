"""Which cluster a kubeconfig means to the stand-in for the Kubernetes plugin."""

import base64

import pytest
import yaml

from kubernetes_provider.kubeconfig import KubeconfigError, read_cluster
from kubernetes_provider.settings import Settings, replacing_inputs


def _kubeconfig(**changes):
    document = {
        "clusters": [
            {"name": "one", "cluster": {"server": "https://10.0.0.1:6443/"}},
            {"name": "two", "cluster": {"server": "https://10.0.0.2:6443"}},
        ],
        "users": [{"name": "me", "user": {"token": "t0ken"}}],
        "contexts": [
            {"name": "c1", "context": {"cluster": "one", "user": "me", "namespace": "n1"}},
            {"name": "c2", "context": {"cluster": "two", "user": "me"}},
        ],
        "current-context": "c1",
    }
    return yaml.safe_dump({**document, **changes})


def test_the_current_context_counts():
    cluster = read_cluster(_kubeconfig())

    assert (cluster.server, cluster.namespace) == ("https://10.0.0.1:6443", "n1")
    assert cluster.token == "t0ken"
    assert "t0ken" not in repr(cluster)


def test_another_context_may_be_named():
    cluster = read_cluster(_kubeconfig(), context="c2")

    assert (cluster.server, cluster.namespace) == ("https://10.0.0.2:6443", "default")
    assert read_cluster(_kubeconfig(), cluster="two").server == "https://10.0.0.2:6443"


def test_it_may_be_a_file(tmp_path, monkeypatch):
    user = {"client-certificate-data": base64.b64encode(b"PEM").decode(), "client-key": "key.pem"}
    path = tmp_path / "config"
    path.write_text(_kubeconfig(users=[{"name": "me", "user": user}]))
    (tmp_path / "key.pem").write_text("KEY")
    monkeypatch.setenv("KUBECONFIG", str(path))

    for given in (str(path), ""):
        cluster = read_cluster(given)
        assert (cluster.certificate, cluster.key) == ("PEM", "KEY")


@pytest.mark.parametrize(
    ("given", "context", "problem"),
    [
        (_kubeconfig(), "c3", 'context "c3" does not exist'),
        (_kubeconfig(clusters=[]), "", 'cluster "one" does not exist'),
        ("just\na text", "", "isn't a mapping"),
        ("a: [\n", "", "couldn't parse"),
        (_kubeconfig(users=[{"name": "me", "user": {"exec": {}}}]), "", "log in by exec"),
    ],
)
def test_a_bad_one_is_refused_with_its_reason(given, context, problem):
    with pytest.raises(KubeconfigError, match=problem):
        read_cluster(given, context)


def test_without_one_there_is_no_cluster(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(KubeconfigError, match="no configuration has been provided"):
        read_cluster("")


def test_another_cluster_replaces_everything():
    old = {"kubeconfig": _kubeconfig(), "context": "c1"}
    renewed = {"kubeconfig": _kubeconfig(users=[{"name": "me", "user": {"token": "new"}}])}

    assert replacing_inputs(old, {**old, "context": "c2"}) == ["context"]
    assert replacing_inputs(old, {**old, **renewed}) == []
    assert replacing_inputs(old, {**old, "namespace": "other"}) == []
    same = {"clusterIdentifier": "x"}
    assert replacing_inputs({**old, **same}, {**old, **same, "context": "c2"}) == []


def test_what_the_stand_in_lacks_is_refused():
    with pytest.raises(ValueError, match="server-side apply only"):
        Settings.of({"kubernetes:config:enableServerSideApply": "false"})
    with pytest.raises(ValueError, match="YAML"):
        Settings.of({"kubernetes:config:renderYamlToDirectory": "out"})


def test_the_providers_inputs_go_before_the_environment(monkeypatch):
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")

    assert Settings.of({}).delete_unreachable
    assert not Settings.of({"kubernetes:config:deleteUnreachable": "false"}).delete_unreachable
