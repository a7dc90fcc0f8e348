"""The pods of worker groups, as the scaler sees and changes them through the cluster's API."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelops.providers.kubernetes import names

if TYPE_CHECKING:
    from kr8s.asyncio import Api

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""The annotation by which a ReplicaSet that shrinks chooses among pods that are ready."""
SECONDS = 20.0
"""How long the API may take for an answer."""
_MARK = "-1000"
_MERGE = {"Content-Type": "application/merge-patch+json"}


class ApiAwayError(Exception):
    """The cluster's API can't be asked now, or refuses."""


@dataclass(frozen=True)
class WorkerPod:
    """A pod that isn't ending.

    Attributes:
        name: its name; its workers are called `{name}-{0, 1, …}`.
        is_ready: whether Kubernetes calls it ready.
        is_marked: whether it's to go first.
    """

    name: str
    is_ready: bool
    is_marked: bool


class PodApi:
    """What the scaler asks of the API; no more than its Role allows."""

    def __init__(self, api: "Api", namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def replicas(self, deployment: str) -> int:
        """Return how many replicas a Deployment should have.

        Raises:
            ApiAwayError: if the API doesn't say; as all methods do.
        """
        scale = await self._call("GET", "apps/v1", f"deployments/{deployment}/scale")
        return int(scale["spec"].get("replicas", 0))

    async def scale(self, deployment: str, replicas: int) -> None:
        """Set how many replicas a Deployment should have."""
        patch = {"spec": {"replicas": replicas}}
        await self._call("PATCH", "apps/v1", f"deployments/{deployment}/scale", patch)

    async def pods(self, group: str) -> list[WorkerPod]:
        """Return the pods of a group that aren't ending."""
        params = {"labelSelector": f"{names.GROUP_LABEL}={group}"}
        answer = await self._call("GET", "v1", "pods", params=params)
        return [_pod(item) for item in answer["items"] if not _is_ending(item)]

    async def mark(self, pod: str) -> None:
        """Let a pod be the first to go."""
        patch = {"metadata": {"annotations": {DELETION_COST: _MARK}}}
        await self._call("PATCH", "v1", f"pods/{pod}", patch)

    async def _call(
        self,
        method: str,
        version: str,
        url: str,
        patch: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        import httpx  # noqa: PLC0415
        import kr8s  # noqa: PLC0415

        more: dict[str, Any] = {}
        if patch is not None:
            more = {"content": json.dumps(patch), "headers": _MERGE}
        if params is not None:
            more["params"] = params
        try:
            async with self._api.call_api(
                method, version=version, namespace=self._namespace, url=url, **more
            ) as answer:
                return answer.json()
        except (kr8s.ServerError, kr8s.APITimeoutError, httpx.HTTPError, OSError) as error:
            raise ApiAwayError(f"{method} {url}: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def pod_api(namespace: str, kubeconfig: str | None = None) -> AsyncIterator[PodApi]:
    """Give a block the API of the cluster that this pod is in, or of a kubeconfig.

    Raises:
        ApiAwayError: if there's none.
    """
    import httpx  # noqa: PLC0415
    import kr8s.asyncio  # noqa: PLC0415

    try:
        # It has no limit of its own, and a connection may go silent.
        async with asyncio.timeout(SECONDS):
            api = await kr8s.asyncio.api(namespace=namespace, kubeconfig=kubeconfig)
    except (kr8s.ConnectionClosedError, httpx.HTTPError, OSError, ValueError) as error:
        raise ApiAwayError(str(error) or type(error).__name__) from error
    api.timeout = SECONDS
    yield PodApi(api, namespace)


def _is_ending(pod: Mapping[str, Any]) -> bool:
    is_over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return is_over or "deletionTimestamp" in pod["metadata"]


def _pod(pod: Mapping[str, Any]) -> WorkerPod:
    metadata = pod["metadata"]
    conditions: Sequence[Mapping[str, str]] = pod.get("status", {}).get("conditions", ())
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    is_marked = (metadata.get("annotations") or {}).get(DELETION_COST) == _MARK
    return WorkerPod(metadata["name"], is_ready, is_marked)
