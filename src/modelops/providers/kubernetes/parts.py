"""Which part of an environment a pod is of: what people call it, and its stack."""

from collections.abc import Mapping

from modelops.providers.base import Component, ProviderPlan, run_part
from modelops.providers.kubernetes import cluster, names, objects
from modelops.providers.kubernetes.objects import Item, labels_of

_COMPONENTS = {
    names.REGISTRY_ROLE: Component.REGISTRY,
    names.OBJECTS_ROLE: Component.INFRA,
    names.DATABASE_ROLE: Component.INFRA,
    names.SCHEDULER_ROLE: Component.WORKSPACE,
    names.WORKER_ROLE: Component.WORKSPACE,
    names.SCALER_ROLE: Component.WORKSPACE,
    names.RUNNER_ROLE: Component.ADAPTIVE,
}


def pod_labels(env: str) -> dict[str, str]:
    """Return the labels that every pod of an environment has."""
    return {names.INSTANCE_LABEL: env, names.PART_OF_LABEL: names.MODELOPS}


def parts(plan: ProviderPlan) -> Mapping[str, Component]:
    """Return the parts that have pods, and their stacks, in the order of stacks.

    Raises:
        ProviderError: if the cluster can't be asked.
    """
    properties = cluster.properties_of(plan)
    with cluster.api(properties) as api:
        pods = objects.get_all(api, "Pod", properties["namespace"], pod_labels(plan.env))
    order = list(Component)
    found = {part_of(pod): component_of(pod) for pod in pods}
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1]), item[0])))


def part_of(pod: Item) -> str:
    """Return the part that a pod is of: its workload's name, or that of its run."""
    labels = labels_of(pod)
    if labels.get(names.COMPONENT_LABEL) == names.RUNNER_ROLE:
        return run_part(labels[names.RUN_LABEL])
    owners = pod["metadata"].get("ownerReferences") or ()
    owner = next((str(each["name"]) for each in owners), labels.get(names.NAME_LABEL, ""))
    # A Deployment's pods belong to one of its ReplicaSets.
    return owner.removesuffix(f"-{labels.get('pod-template-hash', '')}")


def component_of(pod: Item) -> Component:
    """Return the stack that a pod belongs to."""
    return _COMPONENTS.get(labels_of(pod).get(names.COMPONENT_LABEL, ""), Component.WORKSPACE)
