"""The provider: what happens to a resource when the engine checks, makes, changes or deletes it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from kubernetes_provider.api import Api, NoMatchError, StatusError, UnreachableError
from kubernetes_provider.applying import applied, created
from kubernetes_provider.awaits import await_of
from kubernetes_provider.awaits.job import is_complete
from kubernetes_provider.changes import changes, must_go_first, pruned
from kubernetes_provider.connection import Connection
from kubernetes_provider.immutable import replacing_fields
from kubernetes_provider.naming import adopted, hexadecimal, name_if_unnamed, named_by_type
from kubernetes_provider.normalising import normal
from kubernetes_provider.objects import (
    DELETION_PROPAGATION,
    PATCH_FIELD_MANAGER,
    REPLACE_UNREADY,
    SKIP_AWAIT,
    annotation,
    identifier,
    is_set,
    kind_of,
    name_of,
    namespace_of,
    timeout_of,
)
from kubernetes_provider.outcomes import Difference, Found, PartlyDoneError, RefusedError
from kubernetes_provider.properties import Object, Properties, holds_unknown, marked, plain
from kubernetes_provider.settings import Settings
from kubernetes_provider.state import State
from kubernetes_provider.waiting import (
    LONGEST_SECONDS,
    NotReadyError,
    Say,
    await_gone,
    await_ready,
    check_ready,
)

_DELETE_HINT = (
    "you can remove this resource from Pulumi state by rerunning the operation with the "
    'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
_PROPAGATION = {"orphan": "Orphan", "background": "Background"}
# What a deletion doesn't wait for, if the annotation says so.
_MAY_SKIP_DELETION = {
    ("apps/v1", "DaemonSet"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"), ("v1", "Namespace"), ("v1", "Pod"), ("v1", "ReplicationController"),
}  # fmt: skip


class KubernetesProvider:
    """One configured provider: a cluster, and how to treat it."""

    def __init__(self) -> None:
        self._connection = Connection()
        self._cancelled = asyncio.Event()

    async def configure(self, settings: Settings) -> None:
        """Connect."""
        self._connection = await Connection.open(settings)

    def cancel(self) -> None:
        """Have all that waits stop."""
        self._cancelled.set()

    async def check(self, name: str, olds: Properties, news: Properties, seed: bytes) -> Properties:
        """Return the inputs in the server's form, with a name and a namespace."""
        if self._connection.api is None and self._connection.settings.skip_unreachable:
            return olds
        old, new = plain(olds), normal(plain(news))
        metadata = new.setdefault("metadata", {})
        name_if_unnamed(new, old, name, seed)
        namespace = metadata.get("namespace") or self._connection.namespace
        if namespace and await self._connection.is_namespaced(new):
            metadata["namespace"] = namespace
        return marked(new, news)

    async def diff(
        self, old_state: Properties, news: Properties, ignored: Sequence[str], say: Say
    ) -> Difference:
        """Compare inputs with what is in the state of the live object."""
        state, new = State.of(old_state), normal(plain(news))
        old = pruned(state.live, normal(state.inputs))
        old.setdefault("apiVersion", new.get("apiVersion"))
        old.setdefault("kind", new.get("kind"))
        old_metadata, new_metadata = old.setdefault("metadata", {}), new.setdefault("metadata", {})
        if name_of(new):
            old_metadata["name"] = name_of(state.live)
        for metadata, live in ((old_metadata, old), (new_metadata, new)):
            metadata.pop("namespace", None) if not await self._connection.is_namespaced(new) else (
                metadata.update(namespace=namespace_of(live) or "default")
            )
        fields = replacing_fields(
            new,
            mutable_secrets=self._connection.settings.mutable_secrets,
            mutable_config_maps=self._connection.settings.mutable_config_maps,
        )
        found = changes(old, new, fields, ignored)
        replaces = [str(change) for change in found if change.replaces]
        if is_set(new, REPLACE_UNREADY) and await self._is_unready(state.live, new, say):
            replaces.append(f'metadata.annotations["{REPLACE_UNREADY}"]')
        return Difference(found, replaces, bool(replaces) and must_go_first(new, state.live))

    async def create(
        self, urn: str, given: Properties, seconds: float, say: Say, *, preview: bool
    ) -> tuple[str, Properties]:
        """Make an object and wait for it; a preview is a dry run on the server."""
        new = plain(given)
        if preview and (holds_unknown(new) or not await self._connection.serves(new)):
            return "", given
        api = self._reachable()
        manager = annotation(new, PATCH_FIELD_MANAGER) or f"pulumi-kubernetes-{hexadecimal()}"
        upsert = manager if self._connection.settings.upsert else ""
        state = State({}, new, manager, new["apiVersion"])
        try:
            live = await created(api, new, say, preview=preview, upsert=upsert)
        except (StatusError, NoMatchError, UnreachableError) as error:
            if preview and isinstance(error, StatusError) and _fails_in_previews_only(error):
                return "", given
            raise RefusedError(
                f'resource "{urn}" was not successfully created by the Kubernetes API server: '
                f"{_explained(error)}"
            ) from error
        if preview:
            live.pop("status", None)
            return "", replace(state, live=live).properties(given)
        try:
            live = await self._awaited(api, new, live, None, seconds, say)
        except NotReadyError as error:
            raise PartlyDoneError(
                identifier(error.item),
                f'resource "{urn}" was successfully created, but the Kubernetes API server '
                f"reported that it failed to fully initialize or become live: {error}",
                error.reasons,
                replace(state, live=error.item).properties(given),
            ) from error
        return identifier(live), replace(state, live=live).properties(given)

    async def read(
        self, urn: str, id_: str, old_state: Properties, olds: Properties, say: Say
    ) -> Found:
        """Look at an object, and at whether it's ready; what isn't there is gone."""
        if self._connection.api is None:
            await self._connection.tell_problem(say)
            if self._connection.settings.delete_unreachable:
                return Found()
            if self._connection.settings.skip_unreachable:
                return Found(id_, old_state, olds)
            raise RefusedError(
                "failed to read resource state due to unreachable cluster. If the cluster was "
                f"deleted, {_DELETE_HINT}"
            )
        inputs, state = normal(plain(olds)), State.of(old_state)
        namespace, _, name = id_.rpartition("/")
        is_new = not inputs.get("kind") and not state.live.get("kind")
        if is_new:
            inputs = named_by_type(urn, namespace, name)
        elif not inputs.get("kind"):
            inputs = {**inputs, "apiVersion": state.live["apiVersion"], "kind": state.live["kind"]}
        try:
            live = await self._connection.api.get(*kind_of(inputs), namespace, name)
        except (NoMatchError, StatusError) as error:
            if isinstance(error, StatusError) and error.code != 404:
                raise RefusedError(str(error)) from error
            return Found()
        live_inputs = adopted(live) if is_new else pruned(live, inputs)
        manager = state.manager or f"pulumi-kubernetes-{hexadecimal()}"
        now = State(live, live_inputs, manager, state.api_version or live["apiVersion"])
        found = Found(id_, now.properties(olds), marked(live_inputs, olds))
        wait = await_of(live, None)
        if is_new or wait is None or not wait.IS_CHECKED_ON_READ or is_set(inputs, SKIP_AWAIT):
            return found
        try:
            await check_ready(self._connection.api, wait)
        except NotReadyError as error:
            raise PartlyDoneError(
                id_, str(error), error.reasons, found.state or {}, found.inputs
            ) from None
        return found

    async def update(
        self,
        urn: str,
        old_state: Properties,
        given: Properties,
        seconds: float,
        ignored: Sequence[str],
        say: Say,
        *,
        preview: bool,
    ) -> Properties:
        """Apply inputs to what is there and wait for it; a preview is a dry run on the server."""
        new, state = normal(plain(given)), State.of(old_state)
        if preview and (holds_unknown(new) or not await self._connection.serves(new)):
            return given
        api = self._reachable()
        manager = annotation(new, PATCH_FIELD_MANAGER) or state.manager
        done = replace(state, inputs=new, manager=manager)
        try:
            before = await api.get_like({**new, "metadata": state.live["metadata"]})
            force = self._connection.settings.force
            live = await applied(api, new, before, manager, ignored, force=force, preview=preview)
            if preview:
                return replace(done, live=live).properties(given)
            live = await self._awaited(api, new, live, before, seconds, say)
        except (StatusError, NoMatchError, UnreachableError, NotReadyError) as error:
            if preview and isinstance(error, StatusError) and error.code == 403:
                return given
            raise await self._unfinished(urn, api, done, given, error) from error
        return replace(done, live=live).properties(given)

    async def delete(self, id_: str, old_state: Properties, seconds: float, say: Say) -> None:
        """Delete an object, what belongs to it before it, and wait until it's gone."""
        if self._connection.api is None:
            await self._connection.tell_problem(say)
            if self._connection.settings.delete_unreachable:
                return
            raise RefusedError(
                "configured Kubernetes cluster is unreachable. If the cluster was deleted, "
                + _DELETE_HINT
            )
        state = State.of(old_state)
        policy = annotation(state.inputs, DELETION_PROPAGATION).lower()
        try:
            await self._connection.api.delete(state.live, _PROPAGATION.get(policy, "Foreground"))
            if is_set(state.inputs, SKIP_AWAIT) and kind_of(state.live) in _MAY_SKIP_DELETION:
                return
            longest = timeout_of(state.inputs, seconds, LONGEST_SECONDS)
            await await_gone(self._connection.api, state.live, longest, say, self._cancelled)
        except NoMatchError:
            return
        except StatusError as error:
            if error.code != 404:
                raise RefusedError(str(error)) from error
        except UnreachableError as error:
            raise RefusedError(str(error)) from error
        except NotReadyError as error:
            last = replace(state, live=error.item).properties(old_state)
            raise PartlyDoneError(id_, str(error), error.reasons, last) from error

    async def _awaited(
        self, api: Api, new: Object, live: Object, before: Object | None, seconds: float, say: Say
    ) -> Object:
        wait = await_of(live, before)
        if wait is None or is_set(new, SKIP_AWAIT):
            return live
        longest = timeout_of(new, seconds, LONGEST_SECONDS)
        return await await_ready(api, wait, longest, say, self._cancelled)

    async def _unfinished(
        self, urn: str, api: Api, done: State, given: Properties, error: Exception
    ) -> Exception:
        """Return what to raise of an update that failed: with the object as it is, if it is."""
        try:
            live = await api.get_like(done.live)
        except (StatusError, NoMatchError, UnreachableError) as unread:
            return RefusedError(
                f'update of resource "{urn}" failed: {error}\nunable to get cluster state: {unread}'
            )
        reasons = error.reasons if isinstance(error, NotReadyError) else []
        return PartlyDoneError(
            identifier(live),
            f'the Kubernetes API server reported that "{identifier(live)}" failed to fully '
            f"initialize or become live: {error}",
            reasons,
            replace(done, live=live).properties(given),
        )

    def _reachable(self) -> Api:
        if self._connection.api is None:
            raise RefusedError(self._connection.problem)
        return self._connection.api

    async def _is_unready(self, live: Object, new: Object, say: Say) -> bool:
        if self._connection.api is None:
            await say("warning", "Cluster is unreachable, skipping replaceUnready check")
        elif kind_of(new) == ("batch/v1", "Job"):
            try:
                return not is_complete(await self._connection.api.get_like(live))
            except (StatusError, UnreachableError):
                return False
        else:
            text = "replaceUnready annotation is not supported for this resource"
            await say("warning", text)
        return False


def _fails_in_previews_only(error: StatusError) -> bool:
    """Say whether the real creation may well go through: what it needs is made, or goes, first."""
    return error.is_missing_namespace or error.code == 403 or error.reason == "AlreadyExists"


def _explained(error: Exception) -> str:
    if isinstance(error, StatusError) and error.reason == "AlreadyExists":
        return (
            f"{error}\n\nThe resource already exists in the cluster, and isn't in this stack: "
            "import it, or set upsertExistingObjects on the provider."
        )
    if isinstance(error, NoMatchError):
        return f"{error}: verify that any required CRDs have been created"
    return str(error)
