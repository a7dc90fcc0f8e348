"""What `spec.provider` says of the cluster, as the rest of the plan needs it. Pure."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelops.core.errors import ProviderError
from modelops.core.naming import DNS_LABEL
from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.quantities import resources
from modelops.spec.models import KubernetesOptions
from modelops.spec.models.kubernetes import Needs, Nodes
from modelops.spec.plan import CompiledPlan
from modelops.spec.units import parse_cpu, parse_duration, parse_memory

# What is asked for where nobody said: a share, and no limit.
_LEAST = {"requests": {"cpu": "100m", "memory": "256Mi"}}
SMALL = {"requests": {"cpu": "20m", "memory": "96Mi"}}
"""What pods ask for that have little to do."""


@dataclass(frozen=True)
class Settings:
    """The options of the cluster, and the names that follow from them."""

    options: KubernetesOptions
    env: str
    namespace: str

    @classmethod
    def of(cls, plan: CompiledPlan) -> "Settings":
        """Return those of a plan.

        Raises:
            ProviderError: if the provider has no such option, or the namespace can't have its name.
        """
        try:
            options = KubernetesOptions.model_validate(
                {"name": plan.provider.name, **plan.provider.options}
            )
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, ("spec.provider", *first["loc"])))
            raise ProviderError(
                f"{key}: {first['msg']}.",
                hint="See which keys there are: docs/runtime-spec.md, `provider`.",
            ) from None
        namespace = names.namespace(plan.env, options.namespace)
        if not DNS_LABEL.fullmatch(namespace):
            raise ProviderError(
                f"A namespace can't be called {namespace}: it has at most 63 characters.",
                hint="Name a shorter one with spec.provider.namespace, or choose a shorter env.",
            )
        return cls(options, plan.env, namespace)

    @property
    def ready_seconds(self) -> int:
        """How long one thing has to become ready."""
        return max(1, round(parse_duration(self.options.ready_timeout)))

    @property
    def grace_seconds(self) -> int:
        """How long a worker that has to go may go on with what it simulates."""
        return max(1, round(parse_duration(self.options.grace_period)))

    def common(self) -> dict[str, Any]:
        """Return the properties that every component of the provider has."""
        options = self.options
        cluster = {"kubeconfig": options.kubeconfig, "context": options.context}
        return {
            "namespace": self.namespace,
            "env": self.env,
            "ready_seconds": self.ready_seconds,
            "cluster": {key: value for key, value in cluster.items() if value is not None},
        }

    def pod(
        self,
        image: str,
        asks_for: dict[str, Any],
        *,
        nodes: Nodes | None = None,
        pull_secret: str | None = None,
    ) -> dict[str, Any]:
        """Return what pods of one kind have in common.

        Args:
            image: of its container.
            asks_for: its container's resources.
            nodes: which nodes it goes to, besides what is said of all pods.
            pull_secret: what the image is pulled with, if not with the one for all.
        """
        options = self.options
        pull_secret = pull_secret or options.images.pull_secret
        tolerations = [*options.tolerations, *(nodes.tolerations if nodes else ())]
        selector = {**options.node_selector, **(nodes.node_selector if nodes else {})}
        return {
            "image": image,
            "pull_secrets": [] if pull_secret is None else [pull_secret],
            "resources": asks_for,
            "node_selector": selector,
            "tolerations": [item.model_dump(exclude_none=True) for item in tolerations],
        }

    def share(self, needs: Needs) -> dict[str, Any]:
        """Return the resources of a pod of ours, as the options say or by default."""
        if needs.cpu is None and needs.memory is None:
            return _LEAST
        cpu = None if needs.cpu is None else parse_cpu(needs.cpu)
        memory = None if needs.memory is None else parse_memory(needs.memory)
        given = resources(cpu, memory)
        return {**given, "requests": {**_LEAST["requests"], **given.get("requests", {})}}
