"""The Secret that an environment's pods mount: what `mops secrets` stores."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from modelops.core.errors import ProviderError
from modelops.core.secrets import SecretEntry, check_secret_name, check_secret_value
from modelops.providers.base import ProviderPlan
from modelops.providers.kubernetes import cluster, names, objects
from modelops.providers.kubernetes.deleting import is_ours

if TYPE_CHECKING:
    from kr8s import Api

_CONFLICT = 409
_CHANGED = "modelops/secrets-changed"
"""Annotation of workers' pods: when they were told that their secrets have changed."""


@dataclass(frozen=True)
class NamespaceSecrets:
    """A Secret of the environment's namespace, with a key for each secret.

    A key is written by itself: who writes another one at the same time isn't in the way. The pod
    of the next run has what is there when it starts; workers, which go on, get it at once.
    """

    properties: Mapping[str, Any]

    @classmethod
    def of(cls, plan: ProviderPlan) -> Self:
        """Return the secrets of an environment."""
        return cls(cluster.properties_of(plan))

    @property
    def where(self) -> str:
        """The Secret and its namespace."""
        return f"the Secret {names.USER_SECRETS} of the namespace {self._namespace}"

    @property
    def _namespace(self) -> str:
        return str(self.properties["namespace"])

    def put(self, name: str, value: bytes) -> None:
        """Store a secret; the namespace is made if it isn't there yet.

        Raises:
            UsageError: if the name or the value can't be a secret's.
            ProviderError: if the cluster can't be asked, or refuses.
        """
        check_secret_name(name)
        check_secret_value(value)
        encoded = base64.b64encode(value).decode()
        with cluster.api(self.properties) as api:
            self._store(api, name, encoded)
            self._tell_workers(api)

    def delete(self, name: str) -> None:
        """Remove a secret; nothing happens if there is none of that name."""
        check_secret_name(name)
        with cluster.api(self.properties) as api:
            self._patch(api, {name: None})
            self._tell_workers(api)

    def entries(self) -> tuple[SecretEntry, ...]:
        """Return what is there, by name."""
        with cluster.api(self.properties) as api:
            found = objects.get(api, "v1", "Secret", names.USER_SECRETS, self._namespace)
        data = {} if found is None else found.get("data") or {}
        return tuple(
            SecretEntry(name, None, len(base64.b64decode(value)))
            for name, value in sorted(data.items())
        )

    def _store(self, api: "Api", name: str, encoded: str) -> None:
        if self._patch(api, {name: encoded}):
            return
        self._make_namespace(api)
        if not _create(api, self._secret(encoded, name)) and not self._patch(api, {name: encoded}):
            raise ProviderError(
                f"{self.where} went away while {name} was stored.", hint="Try again."
            )

    def _tell_workers(self, api: "Api") -> None:
        """Change the workers' pods, so that their nodes look at their secrets now.

        A node writes a mounted Secret anew when it looks at the pod: when the pod changes, else
        once in a minute or so. A login that may not change pods has to wait for that.
        """
        import kr8s  # noqa: PLC0415 — it takes long
        from kr8s.objects import Pod  # noqa: PLC0415

        change = {"metadata": {"annotations": {_CHANGED: datetime.now(UTC).isoformat()}}}
        workers = {names.COMPONENT_LABEL: names.WORKER_ROLE}
        with suppress(kr8s.ServerError):
            for pod in objects.get_all(api, "Pod", self._namespace, workers):
                metadata = {"name": objects.name_of(pod), "namespace": self._namespace}
                # One that has ended meanwhile needs nothing any more.
                with suppress(kr8s.NotFoundError):
                    Pod({"metadata": metadata}, api=api).patch(change)

    def _patch(self, api: "Api", data: Mapping[str, str | None]) -> bool:
        """Write keys, or remove those without a value; return whether the Secret is there."""
        import kr8s  # noqa: PLC0415 — it takes long
        from kr8s.objects import Secret  # noqa: PLC0415

        metadata = {"name": names.USER_SECRETS, "namespace": self._namespace}
        try:
            Secret({"metadata": metadata}, api=api).patch({"data": dict(data)})
        except kr8s.NotFoundError:
            return False
        return True

    def _secret(self, encoded: str, name: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": names.USER_SECRETS,
                "namespace": self._namespace,
                "labels": names.labels(self.properties["env"], names.MODELOPS, "secrets"),
            },
            "type": "Opaque",
            "data": {name: encoded},
        }

    def _make_namespace(self, api: "Api") -> None:
        env = self.properties["env"]
        there = objects.get(api, "v1", "Namespace", self._namespace, self._namespace)
        if there is not None:
            if there.get("status", {}).get("phase") == "Terminating":
                raise ProviderError(
                    f"The namespace {self._namespace} is being deleted.",
                    hint="Wait until it's gone: kubectl wait --for=delete namespace/"
                    f"{self._namespace}",
                )
            return
        if not is_ours(self.properties):
            raise ProviderError(
                f"There is no namespace {self._namespace}, and the spec says that it isn't ours to "
                "make.",
                hint="Have it made, or leave out spec.provider.createNamespace.",
            )
        _create(
            api,
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self._namespace, "labels": names.namespace_labels(env)},
            },
        )


def _create(api: "Api", described: dict[str, Any]) -> bool:
    """Make an object; return whether it wasn't there."""
    import kr8s  # noqa: PLC0415 — it takes long
    from kr8s.objects import object_from_spec  # noqa: PLC0415

    try:
        object_from_spec(described, api=api).create()
    except kr8s.ServerError as error:
        if getattr(error.response, "status_code", None) != _CONFLICT:
            raise
        return False
    return True
