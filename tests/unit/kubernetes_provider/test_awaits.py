"""When the stand-in for the Kubernetes plugin takes objects for ready."""

import copy

import pytest

from kubernetes_provider.api import Event
from kubernetes_provider.awaits import await_of
from kubernetes_provider.awaits.base import FailedError
from kubernetes_provider.awaits.pods import pod_reasons

REVISION = "deployment.kubernetes.io/revision"
UNREADY = "containers with unready status: [main]"


def _object(api_version, kind, name="a", owner="", generation=1, annotations=None, **fields):
    metadata = {
        "name": name,
        "namespace": "fit",
        "uid": f"uid-{kind}-{name}",
        "generation": generation,
        "annotations": annotations or {},
        "ownerReferences": [{"uid": f"uid-{owner}"}] if owner else [],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _condition(type_, status, reason="", message=""):
    return {"type": type_, "status": status, "reason": reason, "message": message}


def _pod(owner="", name="a-1", scheduled=True, phase="Pending", **status):
    found = [_condition("PodScheduled", "True" if scheduled else "False")]
    if not scheduled:
        found[0] |= {"reason": "Unschedulable", "message": "0/1 nodes are available"}
    else:
        found += [
            _condition("Initialized", "True"),
            _condition("Ready", "False", "ContainersNotReady", UNREADY),
        ]
    status = {"phase": phase, "conditions": found, "containerStatuses": [], **status}
    return _object("v1", "Pod", name, owner, status=status)


def _container(state, last=None):
    return {"name": "main", "ready": False, "state": state, "lastState": last or {}}


def _deployment(available="True", rolled="NewReplicaSetAvailable", revision="1", **changes):
    progressing = _condition("Progressing", "True", rolled, "told")
    found = [_condition("Available", available, "MinimumReplicas", "not enough"), progressing]
    status = {"observedGeneration": changes.get("generation", 1), "conditions": found}
    fields = {"spec": {"template": {"spec": {}}}, "status": status, **changes}
    return _object("apps/v1", "Deployment", annotations={REVISION: revision}, **fields)


def _replica_set(ready=1, wanted=1, revision="1"):
    return _object(
        "apps/v1",
        "ReplicaSet",
        f"a-r{revision}",
        "Deployment-a",
        annotations={REVISION: revision},
        spec={"replicas": wanted},
        status={"readyReplicas": ready} if ready else {},
    )


def _waiting(item, *others, before=None):
    wait = await_of(item, before)
    assert wait is not None
    for each in (item, *others):
        wait.observe(Event("ADDED", each))
    return wait


# Deployments


def test_a_deployment_is_ready_with_its_pods():
    assert _waiting(_deployment(), _replica_set()).is_ready
    assert _waiting(_deployment(), _replica_set(ready=0, wanted=0)).is_ready
    assert not _waiting(_deployment(), _replica_set(ready=1, wanted=2)).is_ready


@pytest.mark.parametrize(
    "item",
    [
        _deployment(available="False"),
        _deployment(revision=""),
        _deployment(generation=2, status={"observedGeneration": 1}),
        _deployment(revision="2"),
    ],
    ids=["unavailable", "no revision", "not seen by its controller", "another revision"],
)
def test_a_deployment_is_not_ready_before(item):
    assert not _waiting(item, _replica_set()).is_ready


def test_a_rollout_has_to_be_complete():
    item = _deployment(revision="2", rolled="ReplicaSetUpdated")
    wait = _waiting(item, _replica_set(revision="2"))
    assert not wait.is_ready

    wait.observe(Event("MODIFIED", _deployment(revision="2")))

    assert wait.is_ready


def test_a_deployment_tells_what_its_pods_say():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image x"}}
    pod = _pod("ReplicaSet-a-r1", containerStatuses=[_container(waiting)])
    stranger = _pod("ReplicaSet-other", "b-1", containerStatuses=[_container(waiting)])

    wait = _waiting(_deployment(available="False"), _replica_set(ready=0), pod, stranger)

    assert wait.reasons() == [
        "[MinimumReplicas] not enough",
        "Minimum number of live Pods was not attained",
        f"[Pod fit/a-1]: {UNREADY}[ImagePullBackOff] Back-off pulling image x",
    ]
    assert ("info", "Waiting for app ReplicaSet to be available (0/1 Pods available)") in (
        wait.news()
    )
    assert wait.news() == []


def test_a_deployment_waits_for_the_claims_that_it_mounts():
    volume = {"persistentVolumeClaim": {"claimName": "data"}}
    spec = {"template": {"spec": {"volumes": [volume]}}}
    pending = _object("v1", "PersistentVolumeClaim", "data", status={"phase": "Pending"})
    other = _object("v1", "PersistentVolumeClaim", "other", status={"phase": "Pending"})

    wait = _waiting(_deployment(spec=spec), _replica_set(), pending, other)

    assert not wait.is_ready
    assert 'Failed to bind PersistentVolumeClaim(s): "data"' in wait.reasons()
    wait.observe(Event("MODIFIED", {**pending, "status": {"phase": "Bound"}}))
    assert wait.is_ready


def test_a_pod_that_went_is_forgotten():
    pod = _pod("ReplicaSet-a-r1")
    wait = _waiting(_deployment(available="False"), _replica_set(ready=0), pod)
    assert any("[Pod fit/a-1]" in reason for reason in wait.reasons())

    wait.observe(Event("DELETED", pod))

    assert not any("[Pod" in reason for reason in wait.reasons())


# Pods


def test_a_crash_is_told_with_what_the_container_said_last():
    last = {
        "reason": "Error",
        "exitCode": 3,
        "finishedAt": "2026-01-02T03:04:05Z",
        "message": "no such table",
    }
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    crashed = _container({"waiting": waiting}, {"terminated": last})

    (reason,) = pod_reasons(_pod(containerStatuses=[crashed]))

    assert reason.splitlines() == [
        f"[Pod fit/a-1]: {UNREADY}[CrashLoopBackOff] back-off 10s",
        'container "main" terminated at 2026-01-02T03:04:05Z (Error: exit code 3)',
        "no such table",
    ]


def test_pods_that_are_as_they_should_be_give_no_reason():
    creating = _container({"waiting": {"reason": "ContainerCreating"}})
    ready = _pod()
    ready["status"]["conditions"][2]["status"] = "True"

    assert pod_reasons(_pod(phase="Succeeded")) == []
    assert pod_reasons(ready) == []
    assert pod_reasons(_pod(containerStatuses=[creating])) == [f"[Pod fit/a-1]: {UNREADY}"]


def test_an_unscheduled_pod_gives_none_as_with_the_real_plugin():
    assert pod_reasons(_pod(scheduled=False)) == []


# Jobs


def _job(*found, **status):
    return _object(
        "batch/v1",
        "Job",
        status={"startTime": "2026-01-02T03:04:05Z", "conditions": list(found), **status},
    )


def test_a_job_is_ready_when_it_is_complete():
    wait = _waiting(_job(active=1))
    assert not wait.is_ready
    assert wait.news() == [
        ("info", 'Waiting for Job "fit/a" to succeed (Active: 1 | Succeeded: 0 | Failed: 0)')
    ]

    wait.observe(Event("MODIFIED", _job(_condition("Complete", "True"))))

    assert wait.is_ready


def test_a_job_that_gave_up_fails_at_once_with_what_its_pods_said():
    ended = _container({"terminated": {"reason": "Error", "exitCode": 7}})
    wait = _waiting(_job(active=1), _pod("Job-a", phase="Failed", containerStatuses=[ended]))

    limit = _condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the limit")
    with pytest.raises(FailedError):
        wait.observe(Event("MODIFIED", _job(limit)))

    assert wait.reasons() == [
        f'[Pod fit/a-1]: {UNREADY}container "main" completed with exit code 7',
        "[BackoffLimitExceeded] Job has reached the limit",
    ]


# StatefulSets


def _stateful_set(generation=1, observed=None, strategy="RollingUpdate", **status):
    counts = {"replicas": 1, "readyReplicas": 1, "currentReplicas": 1}
    revisions = {"currentRevision": "r1", "updateRevision": "r1"}
    observed = {"observedGeneration": observed or generation}
    return _object(
        "apps/v1",
        "StatefulSet",
        generation=generation,
        spec={"replicas": 1, "updateStrategy": {"type": strategy}},
        status={**counts, **revisions, **observed, **status},
    )


def test_a_stateful_set_is_ready_when_its_rollout_is_complete():
    assert _waiting(_stateful_set()).is_ready
    assert not _waiting(_stateful_set(generation=2, observed=1)).is_ready
    assert not _waiting(_stateful_set(currentReplicas=0)).is_ready

    wait = _waiting(_stateful_set(readyReplicas=0, updateRevision="r2"))

    assert wait.reasons() == [
        "0 out of 1 replicas succeeded readiness checks",
        'StatefulSet controller failed to advance from revision "r1" to revision "r2"',
    ]


def test_pods_that_are_replaced_by_hand_keep_their_revision():
    item = _stateful_set(2, strategy="OnDelete", currentReplicas=0, updateRevision="r2")

    assert _waiting(item).is_ready


# Services


def _service(**spec):
    return _object("v1", "Service", spec={"selector": {"app": "a"}, "type": "ClusterIP", **spec})


def _endpoints(**subset):
    return _object("v1", "Endpoints", subsets=[subset] if subset else [])


def test_a_service_is_ready_when_its_endpoints_are_quiet_and_ready():
    wait = _waiting(_service())
    assert not wait.is_ready

    wait.observe(Event("ADDED", _endpoints(notReadyAddresses=[{"ip": "10.42.0.9"}])))
    wait.is_quiet = True
    assert not wait.is_ready
    assert not wait.finish()

    wait.observe(Event("MODIFIED", _endpoints(addresses=[{"ip": "10.42.0.9"}])))
    assert not wait.is_ready
    wait.is_quiet = True
    assert wait.is_ready


def test_a_service_that_selects_no_pods_says_so():
    assert "does not target any Pods" in _waiting(_service(), _endpoints()).reasons()[0]


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"selector": {}}, {"type": "ExternalName"}]
)
def test_services_without_endpoints_of_their_own_wait_for_none(spec):
    assert _waiting(_service(**spec)).is_ready


def test_a_load_balancer_needs_an_address():
    item = _service(type="LoadBalancer", selector={})
    wait = _waiting(item)
    assert not wait.is_ready
    assert "was not allocated an IP address" in wait.reasons()[-1]

    found = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    wait.observe(Event("MODIFIED", {**item, "status": found}))

    assert wait.is_ready


# Others


def test_a_claim_is_ready_when_bound_or_when_it_waits_for_a_pod():
    claim = _object("v1", "PersistentVolumeClaim", spec={"storageClassName": "slow"})
    pending = {**claim, "status": {"phase": "Pending"}}
    late = _object("storage.k8s.io/v1", "StorageClass", "slow")
    late["volumeBindingMode"] = "WaitForFirstConsumer"

    assert not _waiting(pending).is_ready
    assert _waiting(pending, late).is_ready
    assert _waiting({**claim, "status": {"phase": "Bound"}}).is_ready
    assert _waiting({**claim, "status": {"phase": "Bound"}}, late, before=claim).is_ready


def test_a_quota_is_ready_when_its_controller_took_it_up():
    quota = _object("v1", "ResourceQuota", spec={"hard": {"pods": "3"}})
    wait = _waiting(quota)
    assert not wait.is_ready

    wait.observe(Event("MODIFIED", {**quota, "status": {"hard": {"pods": "3"}}}))

    assert wait.is_ready


def test_only_tokens_of_service_accounts_are_waited_for():
    token = _object("v1", "Secret", type="kubernetes.io/service-account-token")

    assert _waiting(_object("v1", "Secret", type="Opaque")).is_ready
    assert not _waiting(token).is_ready
    assert _waiting({**copy.deepcopy(token), "data": {"token": "dA=="}}).is_ready


def test_other_kinds_are_ready_once_they_exist():
    for api_version, kind in (("v1", "Namespace"), ("v1", "ConfigMap"), ("policy/v1", "Any")):
        assert await_of(_object(api_version, kind), None) is None
