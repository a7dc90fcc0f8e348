"""What `mops` sees of an environment in a real cluster: objects, health, logs."""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
import stamina

from kubernetes_plans import PLAN, provider
from modelops.core.errors import ModelOpsError, NotThereError, ProviderError
from modelops.providers.base import Component
from modelops.providers.health import PartHealth, PartState
from modelops.providers.kubernetes import names
from reached_namespace import ENV, PROVIDER, ReachedNamespace, reached_namespace
from testcluster import Access

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(180, func_only=True)]

SLEEP = "exec sleep 3600"


@pytest.fixture
def reached(
    cluster: Access, test_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReachedNamespace]:
    """An environment's namespace, from a home of the test's own, in the cluster's network."""
    monkeypatch.setenv("MODELOPS_HOME", str(tmp_path / "home"))
    with cluster.inside(), reached_namespace(cluster, test_image) as namespace:
        namespace.create()
        yield namespace


def test_an_object_is_there_until_it_is_deleted(reached: ReachedNamespace) -> None:
    reached.pods.apply(reached.secret("dask-tls", key="x"))
    metadata = {"name": "dask-tls", "namespace": reached.name}
    outputs = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    plan = reached.plan()

    assert PROVIDER.look(plan, outputs)["exists"] is True
    reached.pods.kubectl("delete", "secret", "dask-tls")
    assert PROVIDER.look(plan, outputs)["exists"] is False
    assert PROVIDER.look(plan, {"value": "a password"}) == {"value": "a password"}


def test_a_run_that_ended_has_its_exit_code(reached: ReachedNamespace) -> None:
    reached.pods.apply(reached.job("good", "echo done"), reached.job("bad", "echo no; exit 3"))
    reached.pods.wait("job/run-good", "condition=Complete")
    reached.pods.wait("job/run-bad", "condition=Failed")
    plan = reached.plan()

    def look(run_id: str) -> tuple[object, object]:
        metadata = {"name": names.run(run_id), "namespace": reached.name}
        outputs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}
        now = PROVIDER.look(plan, outputs)
        return now["alive"], now["exit_code"]

    assert look("good") == (True, 0)
    assert look("bad") == (False, 3)
    (good,) = PROVIDER.health(plan, reached.view(Component.ADAPTIVE, "good"), 20)
    (bad,) = PROVIDER.health(plan, reached.view(Component.ADAPTIVE, "bad"), 20)
    assert good.state is PartState.FINISHED
    assert (bad.state, "exit code 3" in bad.reason) == (PartState.DEAD, True)
    assert "no" in bad.reason


def test_health_says_why_pods_are_not_ready(reached: ReachedNamespace) -> None:
    crash = "echo 'the certificate is missing'; exit 1"
    nowhere = {"nodeSelector": {"no": "such-node"}}
    wrong = "10.42.0.1:5000/no/such:image"
    reached.pods.apply(
        reached.deployment("dask-scheduler", names.SCHEDULER_ROLE, crash),
        reached.deployment("dask-workers", names.WORKER_ROLE, SLEEP, **nowhere),
        reached.deployment("objects-results", names.OBJECTS_ROLE, SLEEP, image=wrong),
    )
    plan = reached.plan()

    def health(component: Component) -> dict[str, PartHealth]:
        return {each.part: each for each in PROVIDER.health(plan, reached.view(component), 20)}

    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=60):
        with attempt:
            workspace, infra = health(Component.WORKSPACE), health(Component.INFRA)
            assert "the certificate is missing" in workspace["dask-scheduler"].reason
            assert "can't be placed" in workspace["dask-workers"].reason
            assert "node affinity/selector" in workspace["dask-workers"].reason
            objects = infra["objects-results"].reason
            assert "ErrImagePull" in objects or "ImagePullBackOff" in objects
            assert wrong.rpartition(":")[0] in objects
    assert infra["database-journal"].state is PartState.GONE
    assert list(workspace)[:2] == ["dask-scheduler", "dask-workers"]
    assert not any(part.is_well for name, part in workspace.items() if name in list(workspace)[:2])


def test_a_pod_that_is_refused_and_one_that_is_ready(reached: ReachedNamespace) -> None:
    reached.deploy("dask-scheduler", names.SCHEDULER_ROLE, SLEEP)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "modelops"}}
    reached.pods.apply({**quota, "spec": {"hard": {"pods": "1"}}})
    reached.pods.apply(reached.deployment("dask-workers", names.WORKER_ROLE, SLEEP))
    plan = reached.plan(quota={"pods": 1})

    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=60):
        with attempt:
            parts = PROVIDER.health(plan, reached.view(Component.WORKSPACE), 20)
            by_name = {part.part: part for part in parts}
            assert "exceeded quota" in by_name["dask-workers"].reason
            assert by_name["modelops"].detail == "pods 1 of 1"
    scheduler = by_name["dask-scheduler"]
    assert (scheduler.state, scheduler.detail) == (PartState.HEALTHY, "1 of 1 pods")


def test_logs_of_all_pods_of_a_part(reached: ReachedNamespace) -> None:
    count = "for i in 1 2 3; do echo line $i; done; printf 'last\\x0b and\\r more\\n'; " + SLEEP
    reached.deploy("dask-scheduler", names.SCHEDULER_ROLE, count)
    reached.pods.apply(reached.job("first", "echo one; echo two"))
    reached.pods.wait("job/run-first", "condition=Complete")
    plan = reached.plan()

    assert list(PROVIDER.parts(plan).items()) == [
        ("dask-scheduler", Component.WORKSPACE),
        ("run-first", Component.ADAPTIVE),
    ]
    lines = ["line 1\n", "line 2\n", "line 3\n", "last\x0b and\r more\n"]
    assert list(PROVIDER.logs(plan, "dask-scheduler")) == lines
    assert list(PROVIDER.logs(plan, "dask-scheduler", tail=2)) == lines[-2:]
    assert list(PROVIDER.logs(plan, "dask-scheduler", tail=0)) == []
    assert list(PROVIDER.logs(plan, "run-first")) == ["one\n", "two\n"]
    with pytest.raises(NotThereError, match="no-such-part"):
        list(PROVIDER.logs(plan, "no-such-part"))
    with pytest.raises(NotThereError, match="no-such-part"):
        list(PROVIDER.logs(plan, "no-such-part", follow=True))


def test_a_log_is_followed_into_the_next_pod(reached: ReachedNamespace) -> None:
    script = "echo from $HOSTNAME; " + SLEEP
    reached.deploy("dask-scheduler", names.SCHEDULER_ROLE, script)
    following = PROVIDER.logs(reached.plan(), "dask-scheduler", follow=True)
    from_now = PROVIDER.logs(reached.plan(), "dask-scheduler", follow=True, tail=0)
    # All that is there comes before the first silence.
    first = list(takewhile(bool, following))
    assert next(from_now) == ""

    reached.pods.kubectl("delete", "pods", "--all", "--wait=true")
    began, moments, second = time.monotonic(), [], ""
    while not second and time.monotonic() - began < 60:
        second = next(following)
        moments.append(time.monotonic())
    following.close()
    told = next(line for line in from_now if line)
    from_now.close()

    assert len(first) == 1
    assert told == second
    assert second.startswith("from dask-scheduler-")
    assert second != first[0]
    assert max(b - a for a, b in zip([began, *moments], moments, strict=False)) < 10


@pytest.mark.usefixtures("own_cluster")
def test_a_cluster_that_is_gone_is_told_at_once(reached: ReachedNamespace, tmp_path: Path) -> None:
    text = reached.cluster.kubeconfig.read_text()
    gone = tmp_path / "gone"
    gone.write_text(text.replace(":6443", ":1"))
    silent = tmp_path / "silent"
    # An address that nobody has: packets to it are lost.
    silent.write_text(text.replace("10.42.0.1:6443", "10.42.200.200:6443"))

    for kubeconfig in (gone, silent):
        plan = reached.plan(kubeconfig=str(kubeconfig))
        began = time.monotonic()
        with pytest.raises(ProviderError, match="can't be reached") as caught:
            PROVIDER.parts(plan)
        assert time.monotonic() - began < 40
        assert "kubectl get namespaces" in str(caught.value)
        assert "https://10.42." in str(caught.value)


def test_what_a_login_may_not_do_is_named(reached: ReachedNamespace, tmp_path: Path) -> None:
    reached.pods.kubectl("create", "serviceaccount", "nobody")
    token = reached.pods.kubectl("create", "token", "nobody").strip()
    kubeconfig = tmp_path / "nobody"
    kubeconfig.write_text(reached.cluster.kubeconfig.read_text())
    shown = f"--kubeconfig={kubeconfig}"
    reached.pods.kubectl("config", shown, "set-credentials", "nobody", f"--token={token}")
    reached.pods.kubectl("config", shown, "set-context", "--current", "--user=nobody")

    with pytest.raises(ProviderError) as caught:
        PROVIDER.parts(reached.plan(kubeconfig=str(kubeconfig)))

    assert "cannot list resource" in str(caught.value)
    assert f'in the namespace "{reached.name}"' in str(caught.value)
    assert "kubectl auth whoami" in str(caught.value)


def test_a_context_that_is_not_there_is_named(reached: ReachedNamespace) -> None:
    plan = replace(PLAN, env=ENV, provider=provider(context="nowhere"))
    given = {**plan.provider.options, "kubeconfig": str(reached.cluster.kubeconfig)}
    plan = replace(plan, provider=replace(plan.provider, options=given))

    with pytest.raises(ModelOpsError, match="no context 'nowhere'"):
        PROVIDER.parts(PROVIDER.compile(plan))
