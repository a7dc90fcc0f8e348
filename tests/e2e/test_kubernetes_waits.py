"""When the Kubernetes plugin takes resources for ready or gone, and what it says until then."""

from __future__ import annotations

import re

import pytest

from kubernetes_namespace import KubernetesNamespace
from kubernetes_resources import deployment, job, named, names, read
from kubernetes_stack import KubernetesStack, Resource

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(300, func_only=True)]


def test_an_image_that_is_not_there_is_told_and_the_next_up_goes_on(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    missing = {"image": "127.0.0.1:1/none:1", "imagePullPolicy": "Always"}

    failed = stack.up(deployment(namespace, container=missing, seconds=30))

    assert (
        "was successfully created, but the Kubernetes API server reported that it failed to fully "
        "initialize or become live: 'workers' timed out waiting to be Ready"
    ) in failed.error
    assert "Minimum number of live Pods was not attained" in failed.error
    assert re.search(r"\[(ImagePullBackOff|ErrImagePull)\]", failed.error)
    assert "Waiting for app ReplicaSet to be available (0/1 Pods available)" in failed.messages
    state = stack.state()["workers"]
    assert state["id"] == f"{namespace.name}/workers"
    assert any("timed out" in each for each in state["initErrors"])
    mended = stack.up(deployment(namespace))
    assert mended.error == ""
    assert mended.steps["workers"] == ["update"]
    assert "initErrors" not in stack.state()["workers"]


def test_a_crashing_container_is_told_with_its_last_words(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    script = "echo no such table >/dev/termination-log; exit 3"

    # Without them it would be available for the moment until it exits.
    failed = stack.up(deployment(namespace, script, seconds=40, minReadySeconds=10))

    # What it said is in its present state or in its last, as it comes.
    assert re.search(r"(\[Error\] |exit code 3\)\s+)no such table", failed.error)


def test_a_job_that_gives_up_fails_at_once(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    failed = stack.up(job(namespace, "exit 7"))

    assert "Resource 'run' was created but failed to initialize" in failed.error
    assert "[BackoffLimitExceeded]" in failed.error
    ready = job(namespace, "exit 7", replaceUnready="true")
    again = stack.up(ready)
    assert "create-replacement" in again.steps["run"]


def test_what_is_not_awaited_is_done_at_once(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    made = stack.up(job(namespace, "sleep 3600", skipAwait="true"))

    assert made.error == ""
    assert not any("Waiting for Job" in each for each in made.messages)
    assert stack.refresh().error == ""


def test_a_rollout_waits_for_the_new_pods(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    assert stack.up(deployment(namespace)).error == ""

    assert stack.up(deployment(namespace, "sleep 3601")).error == ""

    status = read(namespace, "deployment/workers")["status"]
    assert (status["updatedReplicas"], status["availableReplicas"]) == (1, 1)


def test_the_annotation_says_how_long(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    metadata = named("run", timeoutSeconds="5")
    spec = {"template": {"spec": namespace.pod("run", "sleep 3600")["spec"]}}
    endless = Resource("batch/v1:Job", "run", {"metadata": metadata, "spec": spec})

    failed = stack.up(endless)

    assert "'run' timed out waiting to be Ready" in failed.error
    assert any('Waiting for Job "' in each for each in failed.messages)


def test_a_deletion_waits_and_says_what_holds_it(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    metadata = {**named("held"), "finalizers": ["example.com/hold"]}
    held = Resource(
        "core/v1:ConfigMap",
        "held",
        {"metadata": metadata},
        {"custom_timeouts": {"delete": "5s"}},
    )
    assert stack.up(held).error == ""

    failed = stack.up()

    assert "timed out waiting for the condition" in failed.error
    assert "finalizers might be preventing deletion (example.com/hold)" in failed.messages
    assert "held" in stack.state()
    namespace.kubectl("patch", "configmap/held", "--patch", '{"metadata": {"finalizers": null}}')
    assert stack.up().error == ""
    assert "held" not in stack.state()


def test_a_namespace_is_gone_when_its_deletion_is_done(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    name = f"{namespace.name}-more"
    space = Resource("core/v1:Namespace", "space", {"metadata": named(name)})
    inside = Resource(
        "core/v1:ConfigMap",
        "inside",
        {"metadata": {"name": "inside", "namespace": name}},
    )
    preview, made = stack.preview(space, inside), stack.up(space, inside)
    assert (preview.error, made.error) == ("", "")

    assert stack.destroy().error == ""

    assert names(namespace, f"namespace/{name}") == set()
