"""Why things aren't ready, from what the API says of them."""

from typing import Any

import pytest

from modelops.providers.kubernetes.reasons import reasons


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"name": "c", "ready": False, **state}


def warning(kind: str, reason: str, message: str, at: str = "2030-01-01T00:00:00Z") -> Any:
    about = {"kind": kind, "name": "x"}
    event = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": at}
    return {"involvedObject": about, **event}


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        ({"phase": "Running", "containerStatuses": [{"name": "c", "ready": True}]}, ()),
        (
            {"containerStatuses": [container(state={"waiting": {"reason": "ContainerCreating"}})]},
            (),
        ),
        (
            {
                "containerStatuses": [
                    container(
                        state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
                    )
                ]
            },
            ("pod p: ErrImagePull: no such image",),
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no GPU"}
                ]
            },
            ("pod p can't be placed: 0/1 nodes: no GPU",),
        ),
        (
            {
                "containerStatuses": [
                    container(
                        state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                        lastState={
                            "terminated": {
                                "exitCode": 3,
                                "reason": "Error",
                                "message": "1\n2\n3\n4\n5\nno disk\n",
                            }
                        },
                    )
                ]
            },
            ("pod p: c ended with exit code 3 (Error):\n2\n3\n4\n5\nno disk",),
        ),
        ({"phase": "Succeeded", "containerStatuses": [container()]}, ()),
    ],
)
def test_a_pod(status: dict[str, Any], lines: tuple[str, ...]) -> None:
    assert reasons([pod(**status)], []) == lines


def test_a_workload_that_cant_make_pods() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "w"},
        "status": {"conditions": [condition]},
    }
    assert reasons([], [], [workload]) == ("w can't make its pods: exceeded quota",)


def test_the_last_warning_of_each_kind_about_a_thing_counts() -> None:
    events = [
        warning("PersistentVolumeClaim", "ProvisioningFailed", "new", "2030-01-01T00:00:02Z"),
        warning("PersistentVolumeClaim", "ProvisioningFailed", "old", "2030-01-01T00:00:01Z"),
        warning("Pod", "Unhealthy", "it has only begun"),
        warning("Service", "ClusterIPNotAllocated", "repairing"),
        warning("Pod", "FailedScheduling", "told by the pod's status"),
        {**warning("Pod", "Pulled", "no warning"), "type": "Normal"},
    ]
    assert reasons([], events) == ("PersistentVolumeClaim x: ProvisioningFailed: new",)
