"""The program's gRPC side: the engine's messages, its log, and errors in the form that it takes.

The SDK has a servicer for providers, but it adds its own traceback to every error and can't say
that a resource was made but isn't ready, with its state.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import grpc
import psutil
from google.protobuf.empty_pb2 import Empty
from pulumi.provider.experimental.provider import PropertyDiffKind
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from kubernetes_provider.outcomes import PartlyDoneError, RefusedError
from kubernetes_provider.properties import plain, received, sent
from kubernetes_provider.provider import KubernetesProvider
from kubernetes_provider.settings import Settings, replacing_inputs
from kubernetes_provider.waiting import Say
from modelops.providers.local.plugin.ending import await_end

# As much as the engine itself takes.
_OPTIONS = [("grpc.max_receive_message_length", 400 * 1024 * 1024)]
# In seconds; the system takes no more than 24 days.
_LONGER_THAN_ANY_COMMAND = 1e6
_SEVERITIES = {
    "debug": engine_pb2.DEBUG,
    "info": engine_pb2.INFO,
    "warning": engine_pb2.WARNING,
}
_KINDS = {kind: getattr(provider_pb2.PropertyDiff, kind.name) for kind in PropertyDiffKind}

_Method = Callable[[Any, Any, Any], Awaitable[Any]]


def main() -> None:
    """Serve the engine whose address is the first argument, until it ends."""
    threading.Thread(target=_end_with_starter, name="starter-watch", daemon=True).start()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(sys.argv[1]))


def _answers(method: _Method) -> _Method:
    """Give errors to the engine in its form."""

    async def answered(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except PartlyDoneError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, error.message, _details(error))
        except (RefusedError, ValueError) as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return answered


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """One engine's provider. The methods' names are the protocol's."""

    def __init__(self, engine: engine_pb2_grpc.EngineStub) -> None:
        self._engine = engine
        self._provider = KubernetesProvider()

    async def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=version("pulumi-kubernetes"))

    async def Attach(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return Empty()

    async def CheckConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        old, new = plain(received(request.olds)), plain(received(request.news))
        diffs = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
        some = provider_pb2.DiffResponse.DIFF_SOME if diffs else provider_pb2.DiffResponse.DIFF_NONE
        replaces = replacing_inputs(old, new) if diffs else []
        return provider_pb2.DiffResponse(changes=some, diffs=diffs, replaces=replaces)

    @_answers
    async def Configure(self, request: Any, _context: Any) -> Any:  # noqa: N802
        await self._provider.configure(Settings.of(dict(request.variables)))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @_answers
    async def Check(self, request: Any, _context: Any) -> Any:  # noqa: N802
        name = request.urn.rpartition("::")[2]
        olds, news = received(request.olds), received(request.news)
        inputs = await self._provider.check(name, olds, news, request.randomSeed)
        return provider_pb2.CheckResponse(inputs=sent(inputs))

    @_answers
    async def Diff(self, request: Any, _context: Any) -> Any:  # noqa: N802
        old_state, news = received(request.olds), received(request.news)
        say = self._saying(request.urn)
        found = await self._provider.diff(old_state, news, request.ignoreChanges, say)
        are_some = bool(found.changes or found.replaces)
        answer = provider_pb2.DiffResponse
        return answer(
            changes=answer.DIFF_SOME if are_some else answer.DIFF_NONE,
            replaces=found.replaces,
            deleteBeforeReplace=found.goes_first,
            hasDetailedDiff=True,
            detailedDiff={
                str(change): provider_pb2.PropertyDiff(kind=_KINDS[change.kind])
                for change in found.changes
            },
        )

    @_answers
    async def Create(self, request: Any, _context: Any) -> Any:  # noqa: N802
        id_, state = await self._provider.create(
            request.urn,
            received(request.properties),
            request.timeout,
            self._saying(request.urn),
            preview=request.preview,
        )
        return provider_pb2.CreateResponse(id=id_, properties=sent(state))

    @_answers
    async def Read(self, request: Any, _context: Any) -> Any:  # noqa: N802
        found = await self._provider.read(
            request.urn,
            request.id,
            received(request.properties),
            received(request.inputs),
            self._saying(request.urn),
        )
        if not found.id:
            return provider_pb2.ReadResponse(id="")
        return provider_pb2.ReadResponse(
            id=found.id, properties=sent(found.state or {}), inputs=sent(found.inputs or {})
        )

    @_answers
    async def Update(self, request: Any, _context: Any) -> Any:  # noqa: N802
        state = await self._provider.update(
            request.urn,
            received(request.olds),
            received(request.news),
            request.timeout,
            request.ignoreChanges,
            self._saying(request.urn),
            preview=request.preview,
        )
        return provider_pb2.UpdateResponse(properties=sent(state))

    @_answers
    async def Delete(self, request: Any, _context: Any) -> Any:  # noqa: N802
        say = self._saying(request.urn)
        state = received(request.properties)
        await self._provider.delete(request.id, state, request.timeout, say)
        return Empty()

    async def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        self._provider.cancel()
        return Empty()

    def _saying(self, urn: str) -> Say:
        async def say(severity: str, message: str) -> None:
            await self._engine.Log(
                engine_pb2.LogRequest(
                    severity=_SEVERITIES[severity], message=message, urn=urn, ephemeral=True
                )
            )

        return say


def _details(error: PartlyDoneError) -> tuple[tuple[str, bytes], ...]:
    """Return the metadata of an error that carries a resource's state."""
    failure = provider_pb2.ErrorResourceInitFailed(
        id=error.id,
        properties=sent(error.state),
        reasons=[error.message, *error.reasons],
        inputs=sent(error.inputs) if error.inputs is not None else None,
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=error.message)
    status.details.add().Pack(failure)
    return (("grpc-status-details-bin", status.SerializeToString()),)


async def _serve(engine_address: str) -> None:
    async with grpc.aio.insecure_channel(engine_address) as channel:
        server = grpc.aio.server(options=_OPTIONS)
        servicer = Servicer(engine_pb2_grpc.EngineStub(channel))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await server.wait_for_termination()


def _end_with_starter() -> None:
    starter = os.getppid()
    # Adopted by init: the starter ended before this began.
    if starter != 1:
        with suppress(psutil.NoSuchProcess):
            await_end({psutil.Process(starter)}, _LONGER_THAN_ANY_COMMAND)
    os._exit(1)
