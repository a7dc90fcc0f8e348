"""What ModelOps relies on in the Kubernetes plugin: the real one, or the stand-in for it.

Every test goes through the real engine and `pulumi_kubernetes` to a real API server.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml

from kubernetes_namespace import KubernetesNamespace
from kubernetes_resources import (
    config_map,
    deployment,
    every_kind,
    job,
    managers,
    named,
    names,
    read,
)
from kubernetes_stack import KubernetesStack, Resource

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(300, func_only=True)]

OURS = re.compile(r"pulumi-kubernetes-[0-9a-f]{8}")


# All kinds


def test_every_kind_is_made_kept_and_deleted(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    resources = every_kind(namespace)

    made = stack.up(*resources)
    again = stack.up(*resources)

    assert made.error == ""
    assert {step for name in made.steps for step in made.steps[name]} == {"create"}
    assert again.differences == {name: [] for name in again.steps}
    assert {step for name in again.steps for step in again.steps[name]} == {"same"}
    assert read(namespace, "deployment/workers")["status"]["availableReplicas"] == 1
    assert read(namespace, "statefulset/db")["status"]["readyReplicas"] == 1
    assert read(namespace, "job/run")["status"]["succeeded"] == 1
    assert read(namespace, "endpoints/exposed")["subsets"][0]["addresses"]
    gone = stack.destroy()
    assert gone.error == ""
    kinds = "deployments,replicasets,statefulsets,jobs,secrets,persistentvolumeclaims,pods"
    assert names(namespace, kinds) == set()


def test_custom_resources_wait_for_their_definition(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    group = f"{namespace.name}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"servicemonitors.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "servicemonitors", "kind": "ServiceMonitor"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    spec = {"endpoints": [{"port": "metrics"}]}
    monitor = Resource(
        f"{group}/v1:ServiceMonitor", "monitor", {"metadata": named("monitor"), "spec": spec}
    )

    early = stack.preview(monitor)
    namespace.cluster.kubectl("create", "--filename=-", input=yaml.safe_dump(definition))
    try:
        made = stack.up(monitor)
        found = read(namespace, f"servicemonitors.{group}/monitor")
        assert stack.destroy().error == ""
    finally:
        namespace.cluster.kubectl("delete", "crd", f"servicemonitors.{group}")

    assert early.error == ""
    assert made.error == ""
    assert found["spec"] == spec


# Previews


def test_a_preview_asks_the_server_and_makes_nothing(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    bad = Resource("core/v1:ConfigMap", "bad", {"metadata": named("Not A Name")})

    fine, refused = stack.preview(config_map(level="info")), stack.preview(bad)

    assert fine.error == ""
    assert fine.steps["settings"] == ["create"]
    assert "was not successfully created by the Kubernetes API server" in refused.error
    assert "a lowercase RFC 1123 subdomain" in refused.error
    assert "configmap/settings" not in names(namespace, "configmaps")


def test_a_preview_of_a_change_is_a_dry_run(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    assert stack.up(deployment(namespace, metadata=named("workers", skipAwait="true"))).error == ""

    changed = deployment(namespace, "sleep 7", metadata=named("workers", skipAwait="true"))
    refused = deployment(
        namespace, metadata=named("workers", skipAwait="true"), container={"resources": {"a": "b"}}
    )
    fine = stack.preview(changed)

    assert fine.steps["workers"] == ["update"]
    assert fine.differences["workers"] == ["spec.template.spec.containers[0].command[2]"]
    assert read(namespace, "deployment/workers")["metadata"]["generation"] == 1
    assert stack.preview(refused).error != ""


# Names and replacements


def test_names_are_made_and_replaced_before_the_old_one_goes(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    skip = {"annotations": {"pulumi.com/skipAwait": "true"}}
    assert stack.up(deployment(namespace, name=None, metadata=skip)).error == ""
    (first,) = names(namespace, "deployments")
    assert re.fullmatch(r"deployment.apps/workers-[0-9a-f]{8}", first)

    assert stack.up(deployment(namespace, name=None, metadata=skip)).steps["workers"] == ["same"]
    other = deployment(namespace, name=None, metadata=skip, selector={"app": "others"})
    replaced = stack.up(other)

    assert replaced.error == ""
    assert replaced.steps["workers"] == ["create-replacement", "replace", "delete-replaced"]
    (second,) = names(namespace, "deployments")
    assert first != second


def test_a_fixed_name_has_to_be_free_for_its_replacement(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    assert stack.up(deployment(namespace)).error == ""
    uid = read(namespace, "deployment/workers")["metadata"]["uid"]

    replaced = stack.up(deployment(namespace, selector={"app": "others"}))

    assert replaced.error == ""
    assert replaced.steps["workers"] == ["delete-replaced", "replace", "create-replacement"]
    found = read(namespace, "deployment/workers")
    assert found["metadata"]["uid"] != uid
    assert found["spec"]["selector"] == {"matchLabels": {"app": "others"}}


def test_a_job_that_nobody_waits_for_is_replaced_if_it_goes_before_its_pods(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    annotations = {"skipAwait": "true", "deletionPropagationPolicy": "background"}
    assert stack.up(job(namespace, "sleep 600", **annotations)).error == ""
    uid = read(namespace, "job/run")["metadata"]["uid"]

    replaced = stack.up(job(namespace, "sleep 601", **annotations))

    assert replaced.error == ""
    assert read(namespace, "job/run")["metadata"]["uid"] != uid


def test_what_others_made_is_not_taken_over(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    namespace.kubectl("create", "configmap", "settings", "--from-literal=level=debug")

    refused = stack.up(config_map(level="info"))

    assert 'configmaps "settings" already exists' in refused.error
    assert read(namespace, "configmap/settings")["data"] == {"level": "debug"}
    assert "settings" not in stack.state()


# Field managers


def test_an_update_applies_with_a_manager_of_its_own(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    stack.provider["enableConfigMapMutable"] = True
    assert stack.up(config_map(level="info", gone="soon")).error == ""
    assert managers(read(namespace, "configmap/settings")) == {"pulumi-kubernetes": "Update"}

    assert stack.up(config_map(level="debug")).error == ""

    found = read(namespace, "configmap/settings")
    ((manager, operation),) = managers(found).items()
    assert OURS.fullmatch(manager)
    assert operation == "Apply"
    assert stack.state()["settings"]["outputs"]["__fieldManager"] == manager
    assert found["data"] == {"level": "debug"}


def test_a_field_of_anothers_is_a_conflict_unless_it_is_forced(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    stack.provider["enableConfigMapMutable"] = True
    assert stack.up(config_map(level="info", other="1")).error == ""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"level": "theirs"},
    }
    namespace.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=them", "-f", "-"),
        input=yaml.safe_dump(body),
    )

    refused = stack.up(config_map(level="ours", other="2"))
    forced = Resource(
        "core/v1:ConfigMap",
        "settings",
        {
            "metadata": named("settings", patchForce="true"),
            "data": {"level": "ours", "other": "2"},
        },
    )

    assert "server-side apply field conflict detected" in refused.error
    assert 'conflict with "them"' in refused.error
    assert read(namespace, "configmap/settings")["data"] == {"level": "theirs", "other": "1"}
    assert stack.up(forced).error == ""
    assert read(namespace, "configmap/settings")["data"] == {"level": "ours", "other": "2"}


def test_ignored_replicas_are_left_to_who_scales(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    options = {"ignore_changes": ["spec.replicas"]}
    skip = named("workers", skipAwait="true")
    assert stack.up(deployment(namespace, metadata=skip, options=options)).error == ""
    # Of none nobody would be the manager: the API leaves a count of 0 out.
    namespace.kubectl("scale", "deployment/workers", "--replicas=2")

    same = stack.up(deployment(namespace, metadata=skip, options=options))
    changed = stack.up(deployment(namespace, "sleep 7", metadata=skip, options=options))

    assert same.steps["workers"] == ["same"]
    assert changed.steps["workers"] == ["update"]
    assert changed.error == ""
    found = read(namespace, "deployment/workers")
    assert found["spec"]["replicas"] == 2
    ours = [e for e in found["metadata"]["managedFields"] if OURS.fullmatch(e["manager"])]
    assert ours
    assert all("f:replicas" not in each["fieldsV1"]["f:spec"] for each in ours)


# Refresh


def test_a_refresh_sees_what_changed_and_what_went(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    other = Resource("core/v1:ConfigMap", "other", {"metadata": named("other")})
    assert stack.up(config_map(level="info"), other).error == ""
    namespace.kubectl("patch", "configmap/settings", "--patch", '{"data": {"level": "debug"}}')
    namespace.kubectl("delete", "configmap/other")

    assert stack.refresh().error == ""

    state = stack.state()
    assert state["settings"]["outputs"]["data"] == {"level": "debug"}
    assert "other" not in state
    healed = stack.up(config_map(level="info"), other)
    assert healed.error == ""
    assert healed.steps["other"] == ["create"]
    assert read(namespace, "configmap/settings")["data"] == {"level": "info"}


# Secrets


def test_secrets_are_in_no_state_as_text(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    login = Resource(
        "core/v1:Secret",
        "login",
        {"metadata": named("login"), "stringData": {"password": "hunter2", "user": "me"}},
    )
    marked = Resource(
        "core/v1:ConfigMap",
        "marked",
        {"metadata": named("marked"), "data": {"token": "secret:t0ken", "open": "yes"}},
    )

    assert stack.up(login, marked).error == ""

    assert set(read(namespace, "secret/login")["data"]) == {"password", "user"}
    state = stack.state()
    text = json.dumps(state)
    for secret in ("hunter2", "aHVudGVyMg==", "t0ken", "client-key-data"):
        assert secret not in text
    assert state["marked"]["outputs"]["data"]["open"] == "yes"
    assert stack.refresh().error == ""
    assert "aHVudGVyMg==" not in json.dumps(stack.state())


# Without the cluster


def test_what_cannot_be_reached_leaves_the_state_only_if_told(
    stack: KubernetesStack, namespace: KubernetesNamespace
) -> None:
    stack.provider["clusterIdentifier"] = "the same"
    assert stack.up(config_map(level="info")).error == ""
    kubeconfig = stack.provider["kubeconfig"]
    stack.provider["kubeconfig"] = re.sub("server: .*", "server: https://127.0.0.1:1", kubeconfig)

    refused = stack.up()

    assert "configured Kubernetes cluster is unreachable" in refused.error
    assert "PULUMI_K8S_DELETE_UNREACHABLE" in refused.error
    assert "settings" in stack.state()
    stack.provider["deleteUnreachable"] = True
    assert stack.up().error == ""
    assert "settings" not in stack.state()
