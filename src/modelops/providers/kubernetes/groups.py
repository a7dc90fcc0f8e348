"""Worker groups of a plan: a Deployment each. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from modelops.core.errors import ProviderError
from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.images import worker_image
from modelops.providers.kubernetes.quantities import resources
from modelops.providers.kubernetes.settings import Settings
from modelops.spec.models.kubernetes import Nodes, Toleration
from modelops.spec.plan import CompiledPlan, GpuPlan, WorkerGroupPlan

_DEVICES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "gpu.intel.com/i915"}
"""Vendor → what the vendor's device plugin calls its GPUs."""

_NVIDIA_MODEL = "nvidia.com/gpu.product"
"""The label by which NVIDIA's feature discovery names the model, as in NVIDIA-A10."""


def for_a_cluster(plan: CompiledPlan, settings: Settings) -> tuple[CompiledPlan, tuple[str, ...]]:
    """Return a plan whose groups a cluster can have, of a file that names another provider."""
    if plan.provider.instead_of is None:
        return plan, ()
    notes, groups = [], []
    for group in plan.worker_groups:
        where = f"spec.workerGroups.{group.name}"
        if group.kind == "processes":
            notes.append(f"{where}: pods instead of processes")
            group = replace(group, kind=None)  # noqa: PLW2901
        if group.spot and settings.options.spot is None:
            notes.append(f"{where}: not used in this cluster: spot")
            group = replace(group, spot=False)  # noqa: PLW2901
        groups.append(group)
    return replace(plan, worker_groups=tuple(groups)), tuple(notes)


def notes(plan: CompiledPlan) -> Iterator[str]:
    """Yield what is done for groups that the spec doesn't say."""
    for group in plan.worker_groups:
        if group.profile == "gpu" and group.gpu is None:
            yield f"spec.workerGroups.{group.name}: one NVIDIA GPU, as `profile: gpu` names none"


def group_properties(group: WorkerGroupPlan, settings: Settings) -> dict[str, Any]:
    """Return what decides how the pods of a group are made.

    Raises:
        ProviderError: if a cluster can't have such a group.
    """
    where = f"spec.workerGroups.{group.name}"
    if group.kind not in (None, "k8s-pool"):
        raise ProviderError(
            f"{where}.kind is {group.kind!r}, which a cluster doesn't have.",
            hint="Leave it out, or write k8s-pool.",
        )
    _check_quota(group, where, settings)
    nodes, more = _nodes(group, where, settings)
    gpu = _gpu(group)
    devices = {} if gpu is None else {_device(gpu, where): str(gpu.count)}
    image = group.image
    pod = settings.pod(
        worker_image(settings.options.images) if image is None else image.ref,
        resources(group.cpu, group.memory, devices),
        nodes=nodes,
        pull_secret=None if image is None else image.pull_secret,
    )
    return {**pod, **more}


def is_scaled(group: WorkerGroupPlan) -> bool:
    """Return whether the number of its pods follows the load."""
    return group.minimum < group.maximum


def _gpu(group: WorkerGroupPlan) -> GpuPlan | None:
    if group.gpu is None and group.profile == "gpu":
        return GpuPlan("nvidia", 1)
    return group.gpu


def _nodes(group: WorkerGroupPlan, where: str, settings: Settings) -> tuple[Nodes, dict[str, Any]]:
    """Return which nodes the group's pods go to, and what else their specs have for that."""
    options, gpu = settings.options, _gpu(group)
    selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    more: dict[str, Any] = {}
    if group.spot:
        if options.spot is None or not (options.spot.node_selector or options.spot.tolerations):
            raise ProviderError(
                f"{where}.spot is true, and which nodes are spot isn't said.",
                hint="Name their labels and taints, as in spec.provider.spot: {nodeSelector: "
                '{cloud.google.com/gke-spot: "true"}}.',
            )
        selector |= options.spot.node_selector
        tolerations += options.spot.tolerations
    if gpu is not None:
        selector |= options.gpu.node_selector
        tolerations += options.gpu.tolerations or (
            Toleration(key=_device(gpu, where), effect="NoSchedule"),
        )
        if gpu.vendor == "nvidia" and options.gpu.runtime_class != "none":
            more["runtime_class"] = options.gpu.runtime_class
        if gpu.model is not None:
            if gpu.vendor != "nvidia":
                raise ProviderError(
                    f"{where}.gpu.model: nodes with GPUs of {gpu.vendor} don't say which they are.",
                    hint="Leave the model out, and name the nodes' labels with "
                    "spec.provider.gpu.nodeSelector.",
                )
            more["node_labels"] = {_NVIDIA_MODEL: [gpu.model, f"NVIDIA-{gpu.model}"]}
    return Nodes(nodeSelector=selector, tolerations=tuple(tolerations)), more


def _device(gpu: GpuPlan, where: str) -> str:
    if gpu.vendor not in _DEVICES:
        raise ProviderError(
            f"{where}.gpu.vendor is {gpu.vendor!r}.", hint=f"Write {' or '.join(_DEVICES)}."
        )
    return _DEVICES[gpu.vendor]


def _check_quota(group: WorkerGroupPlan, where: str, settings: Settings) -> None:
    """Refuse a group whose pods a quota wouldn't let in, as they don't say what they ask for."""
    quota = settings.options.quota
    for key, value in (("cpu", group.cpu), ("memory", group.memory)):
        if quota is not None and getattr(quota, key) is not None and value is None:
            raise ProviderError(
                f"{where}.resources.{key} is missing, and spec.provider.quota counts it.",
                hint="Say what one replica gets.",
            )


def deployment(group: str, plan: CompiledPlan) -> str:
    """Return the name of a group's Deployment."""
    return names.workers(group, [item.name for item in plan.worker_groups])
