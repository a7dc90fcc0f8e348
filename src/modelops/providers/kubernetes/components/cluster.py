"""Making objects in the cluster: by server-side apply, named as planned, awaited for a while."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import pulumi
import pulumi_kubernetes as kubernetes

from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.kubeconfig import kubeconfig_path
from modelops.providers.kubernetes.pods import Manifest, Part

_Made = TypeVar("_Made", bound=pulumi.Resource)

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""Annotation of what the engine makes and doesn't wait for."""
BEFORE_ITS_PARTS = {"pulumi.com/deletionPropagationPolicy": "background"}
"""Annotation of what is deleted before its pods: its name is free then, though nobody waits."""
# An earlier stack's fields of what was kept, and those that somebody changed by hand, are ours.
_TAKE_OVER = {"pulumi.com/patchForce": "true"}


class Cluster:
    """The cluster of a stack, and the namespace in it.

    Args:
        properties: those that every component of the provider has (`Settings.common`).
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._connection = properties["cluster"]
        self._ready = f"{properties['ready_seconds']}s"
        self.namespace: str = properties["namespace"]

    @cached_property
    def provider(self) -> kubernetes.Provider:
        """The engine's provider; there is one in a stack, if it makes anything."""
        return kubernetes.Provider(
            "cluster",
            kubeconfig=kubeconfig_path(self._connection.get("kubeconfig")),
            context=self._connection.get("context"),
            namespace=self.namespace,
            enable_server_side_apply=True,
            # All names are those of the environment: what is there under one is what an earlier
            # `up` made, and `down` kept or didn't get to note.
            upsert_existing_objects=True,
        )

    def make(
        self,
        kind: Callable[..., _Made],
        part: Part,
        name: str,
        /,
        *,
        below: pulumi.Resource,
        keep: bool = False,
        after: tuple[pulumi.Resource, ...] = (),
        ignore: tuple[str, ...] = (),
        annotations: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> _Made:
        """Make an object.

        Args:
            kind: its class in `pulumi_kubernetes`.
            part: what it belongs to.
            name: its name.
            below: the component.
            keep: whether it stays when it's taken down.
            after: what has to be there first.
            ignore: fields that others change.
            annotations: its annotations.
            fields: what else it has, by the API's names.
        """
        metadata: Manifest = {
            "name": name,
            "namespace": self.namespace,
            "labels": part.labels,
            "annotations": {**_TAKE_OVER, **(annotations or {})},
        }
        return kind(
            name, metadata=metadata, opts=self._options(below, keep, after, ignore), **fields
        )

    def make_namespace(self, part: Part, *, below: pulumi.Resource) -> pulumi.Resource:
        """Make the namespace, in which pods that may too much are refused.

        It stays when all else is taken down: what users keep in it is known to nobody else.
        """
        labels = names.namespace_labels(part.env)
        return kubernetes.core.v1.Namespace(
            self.namespace,
            metadata={
                "name": self.namespace,
                "labels": labels,
                "annotations": _TAKE_OVER,
            },
            opts=self._options(below, True, (), ()),
        )

    def _options(
        self,
        below: pulumi.Resource,
        keep: bool,
        after: tuple[pulumi.Resource, ...],
        ignore: tuple[str, ...],
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=below,
            provider=self.provider,
            depends_on=list(after),
            ignore_changes=list(ignore),
            retain_on_delete=keep or None,
            # Two objects can't have one name.
            delete_before_replace=True,
            custom_timeouts=pulumi.CustomTimeouts(
                create=self._ready, update=self._ready, delete=self._ready
            ),
        )

    def claim(
        self,
        part: Part,
        name: str,
        volume: Mapping[str, Any],
        *,
        below: pulumi.Resource,
        keep: bool = True,
    ) -> pulumi.Resource:
        """Make a claim; by default it stays, with its data, when all else is taken down."""
        spec: Manifest = {
            "accessModes": [volume["access_mode"]],
            "resources": {"requests": {"storage": volume["size"]}},
        }
        if "storage_class" in volume:
            spec["storageClassName"] = volume["storage_class"]
        return self.make(
            kubernetes.core.v1.PersistentVolumeClaim,
            part,
            name,
            below=below,
            keep=keep,
            # Many classes wait for the first pod, which comes after it.
            annotations=SKIP_AWAIT,
            spec=spec,
        )

    def service(
        self, part: Part, name: str, ports: Mapping[str, int], *, below: pulumi.Resource
    ) -> pulumi.Resource:
        """Make a Service for the part's pods; whether they are ready is for others to wait for."""
        return self.make(
            kubernetes.core.v1.Service,
            part,
            name,
            below=below,
            annotations=SKIP_AWAIT,
            spec={
                "selector": part.selector,
                "ports": [
                    {"name": port, "port": number, "targetPort": number}
                    for port, number in ports.items()
                ],
            },
        )

    def deployment(
        self,
        part: Part,
        name: str,
        template: Manifest | pulumi.Output[Manifest],
        *,
        below: pulumi.Resource,
        after: tuple[pulumi.Resource, ...] = (),
        replicas: int = 1,
        strategy: Manifest | None = None,
        ignore: tuple[str, ...] = (),
    ) -> pulumi.Resource:
        """Make a Deployment; by default of one pod, whose successor starts when it has ended."""
        return self.make(
            kubernetes.apps.v1.Deployment,
            part,
            name,
            below=below,
            after=after,
            ignore=ignore,
            spec={
                "replicas": replicas,
                "revisionHistoryLimit": 2,
                "selector": {"matchLabels": part.selector},
                "strategy": strategy or {"type": "Recreate"},
                "template": template,
            },
        )

    def secret(
        self,
        part: Part,
        name: str,
        values: Mapping[str, pulumi.Input[str]],
        *,
        below: pulumi.Resource,
        keep: bool = False,
    ) -> pulumi.Resource:
        """Make a Secret."""
        return self.make(
            kubernetes.core.v1.Secret,
            part,
            name,
            below=below,
            keep=keep,
            type="Opaque",
            string_data=values,
        )
