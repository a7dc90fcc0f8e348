"""The Kubernetes API, as far as the provider needs it: by kind, with dry runs and watches."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from kubernetes_provider.kubeconfig import Cluster
from kubernetes_provider.objects import kind_of, name_of, namespace_of
from kubernetes_provider.properties import Object

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_RECONNECT_SECONDS = 0.2


class UnreachableError(Exception):
    """There is no answer from the API server."""


class NoMatchError(Exception):
    """The server knows no such kind."""


class StatusError(Exception):
    """What the server refused, in its words."""

    def __init__(self, status: dict[str, Any], code: int) -> None:
        super().__init__(status.get("message") or f"the server answered {code}")
        self.code = status.get("code") or code
        self.reason = status.get("reason", "")
        self.details = status.get("details") or {}

    @property
    def is_missing_namespace(self) -> bool:
        return self.reason == "NotFound" and self.details.get("kind") == "namespaces"


@dataclass(frozen=True)
class Kind:
    """A kind that the server serves."""

    base: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of an object, or of all of them."""
        parts = [self.base]
        if self.is_namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/".join(part for part in (*parts, self.plural, name) if part)


@dataclass(frozen=True)
class Event:
    """What a watch saw: ADDED, MODIFIED or DELETED, and the object."""

    type: str
    item: Object


class Api:
    """A client of one API server.

    Raises of every method: UnreachableError, StatusError, and NoMatchError for an unknown kind.
    """

    def __init__(self, cluster: Cluster) -> None:
        # Of the environment nothing is taken: a proxy isn't on the way to a test's cluster.
        self._client = httpx.AsyncClient(
            base_url=cluster.server,
            headers={"Authorization": f"Bearer {cluster.token}"} if cluster.token else {},
            verify=cluster.tls(),
            timeout=_TIMEOUT,
            trust_env=False,
        )
        self._extensions = {"sni_hostname": cluster.server_name} if cluster.server_name else {}
        self._kinds: dict[tuple[str, str], Kind] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def version(self) -> str:
        return str((await self._call("GET", "/version"))["gitVersion"])

    async def kind(self, api_version: str, kind: str) -> Kind:
        """Return how a kind is served."""
        if (api_version, kind) not in self._kinds:
            base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                served = (await self._call("GET", base)).get("resources", ())
            except StatusError as error:
                if error.code != 404:
                    raise
                served = ()
            for each in served:
                if "/" not in each["name"]:
                    found = Kind(base, each["name"], each["namespaced"])
                    self._kinds[api_version, each["kind"]] = found
        if (api_version, kind) not in self._kinds:
            raise NoMatchError(f'no matches for kind "{kind}" in version "{api_version}"')
        return self._kinds[api_version, kind]

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Object:
        served = await self.kind(api_version, kind)
        return await self._call("GET", served.path(namespace, name))

    async def get_like(self, item: Object) -> Object:
        """Return the object of that kind, namespace and name as it is now."""
        return await self.get(*kind_of(item), namespace_of(item), name_of(item))

    async def create(self, item: Object, manager: str, *, dry_run: bool) -> Object:
        served = await self.kind(*kind_of(item))
        parameters = {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}
        path = served.path(namespace_of(item))
        return await self._call("POST", path, parameters, body=item, type_="application/json")

    async def apply(self, item: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        """Apply an object on the server's side."""
        served = await self.kind(*kind_of(item))
        parameters = {"fieldManager": manager, "force": str(force).lower()}
        if dry_run:
            parameters["dryRun"] = "All"
        path = served.path(namespace_of(item), name_of(item))
        type_ = "application/apply-patch+yaml"
        return await self._call("PATCH", path, parameters, body=item, type_=type_)

    async def patch(self, item: Object, patch: list[dict[str, Any]]) -> Object:
        """Change an object by a JSON patch (RFC 6902)."""
        served = await self.kind(*kind_of(item))
        path = served.path(namespace_of(item), name_of(item))
        return await self._call("PATCH", path, body=patch, type_="application/json-patch+json")

    async def delete(self, item: Object, propagation: str) -> None:
        served = await self.kind(*kind_of(item))
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        path = served.path(namespace_of(item), name_of(item))
        await self._call("DELETE", path, body=options, type_="application/json")

    async def list(
        self, api_version: str, kind: str, namespace: str, fields: str = ""
    ) -> tuple[list[Object], str]:
        """Return all objects of a kind, and the version of the list."""
        served = await self.kind(api_version, kind)
        parameters = {"fieldSelector": fields} if fields else {}
        found = await self._call("GET", served.path(namespace), parameters)
        # The items of a list don't say what they are.
        items = [{"apiVersion": api_version, "kind": kind, **each} for each in found["items"] or ()]
        return items, found["metadata"].get("resourceVersion", "")

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        fields: str = "",
        known: Iterable[Object] = (),
    ) -> AsyncGenerator[Event, None]:
        """Yield what there is, then every change, until it is closed.

        A connection that breaks is made anew; what went meanwhile, or was `known` and isn't there,
        comes as DELETED.
        """
        served = await self.kind(api_version, kind)
        seen = {each["metadata"]["uid"]: each for each in known}
        while True:
            with suppress(UnreachableError):
                items, version = await self.list(api_version, kind, namespace, fields)
                now = {each["metadata"]["uid"]: each for each in items}
                for uid in seen.keys() - now.keys():
                    yield Event("DELETED", seen[uid])
                seen = now
                for each in items:
                    yield Event("ADDED", each)
                stream = self._stream(served.path(namespace), fields, version)
                async with aclosing(stream) as events:
                    async for event in events:
                        uid = event.item["metadata"]["uid"]
                        if event.type == "DELETED":
                            seen.pop(uid, None)
                        else:
                            seen[uid] = event.item
                        yield event
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _stream(self, path: str, fields: str, version: str) -> AsyncGenerator[Event, None]:
        parameters = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "300"}
        if fields:
            parameters["fieldSelector"] = fields
        timeout = httpx.Timeout(30.0, connect=10.0, read=None)
        request = self._client.build_request(
            "GET", path, params=parameters, timeout=timeout, extensions=self._extensions
        )
        try:
            answer = await self._client.send(request, stream=True)
            try:
                if answer.is_error:
                    return
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    # The version is too old: the watch begins anew.
                    if event["type"] == "ERROR":
                        return
                    yield Event(event["type"], event["object"])
            finally:
                await answer.aclose()
        except httpx.TransportError as error:
            raise UnreachableError(str(error)) from error

    async def _call(
        self,
        method: str,
        path: str,
        parameters: dict[str, str] | None = None,
        body: Any = None,
        type_: str = "",
    ) -> Object:
        try:
            answer = await self._client.request(
                method,
                path,
                params=parameters,
                content=None if body is None else json.dumps(body),
                headers={"Content-Type": type_} if type_ else {},
                extensions=self._extensions,
            )
        except httpx.TransportError as error:
            url = f"{self._client.base_url}".rstrip("/") + path
            why = str(error) or type(error).__name__
            raise UnreachableError(f'{method.capitalize()} "{url}": {why}') from error
        if answer.is_error:
            raise StatusError(_status(answer), answer.status_code)
        found: Object = answer.json()
        return found


def _status(answer: httpx.Response) -> dict[str, Any]:
    try:
        status = answer.json()
    except ValueError:
        return {"message": answer.text.strip()}
    return status if isinstance(status, dict) else {"message": answer.text.strip()}
