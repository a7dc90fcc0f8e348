"""`pulumi-resource-modelops`: the plugin that the engine finds on PATH and talks to."""

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import grpc
import psutil
from google.protobuf.empty_pb2 import Empty
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckFailure,
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2_grpc

from modelops import __version__
from modelops.providers.local.plugin import unfinished
from modelops.providers.local.plugin.ending import await_end
from modelops.providers.local.plugin.kinds import Kind, kind_of_type
from modelops.providers.local.plugin.properties import (
    secret_names,
    sendable,
    to_properties,
    to_python,
    unknown,
)

# In seconds; the system takes no more than 24 days.
_LONGER_THAN_ANY_COMMAND = 1e6
# As much as the engine itself takes.
_MAX_MESSAGE_BYTES = 400 * 1024 * 1024


class MachineProvider(Provider):
    """The resources of `kinds.py` for this machine."""

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        """Accept secrets, so that they stay marked in the state."""
        return ConfigureResponse(
            accept_secrets=True,
            accept_resources=False,
            accept_outputs=False,
            supports_preview=True,
        )

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Refuse inputs that can't work, each with its reason."""
        kind = kind_of_type(request.type)
        inputs = to_python(request.new_inputs)
        not_known = request.new_inputs.keys() - inputs.keys()
        failures = [
            CheckFailure(name, reason)
            for name, reason in kind.problems(inputs).items()
            if name not in not_known
        ]
        return CheckResponse(sendable(request.new_inputs, kind.SECRETS), failures)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Compare the state with the inputs and with what is there; all is done by an update."""
        state, inputs = to_python(request.old_state), to_python(request.new_inputs)
        changed = await asyncio.to_thread(kind_of_type(request.type).changes, state, inputs)
        return DiffResponse(changes=bool(changed), diffs=changed)

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Make the resource; in a preview, say which outputs aren't known yet."""
        kind = kind_of_type(request.type)
        if request.preview:
            return CreateResponse(properties=_preview(kind, request.properties, {}))
        state = await _make(kind, request.urn, request.name, request.properties, {})
        return CreateResponse(request.name, state)

    async def read(self, request: ReadRequest) -> ReadResponse:
        """Look at the resource; one that died stays in the state, with alive or exists false."""
        state = to_python(request.properties)
        secret = secret_names(request.properties)
        now = await asyncio.to_thread(kind_of_type(request.type).refreshed, state)
        return ReadResponse(request.resource_id, to_properties(now, secret), request.inputs)

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        """Make it as the inputs say, in place of the old one; a process keeps its address."""
        kind = kind_of_type(request.type)
        old = to_python(request.olds)
        if request.preview:
            return UpdateResponse(_preview(kind, request.news, old))
        return UpdateResponse(await _make(kind, request.urn, request.name, request.news, old))

    async def delete(self, request: DeleteRequest) -> None:
        """Remove the resource; a directory's data stay."""
        state = to_python(request.properties)
        await asyncio.to_thread(kind_of_type(request.type).remove, state)

    async def cancel(self) -> None:
        """End what is starting for an engine that was interrupted, or has come to its end."""
        await asyncio.to_thread(unfinished.end_unfinished_of_engine)


def main() -> None:
    """Serve until whoever started this ends: the engine, or a command that runs several engines.

    The port is printed first. What is starting when the end comes is ended too.
    """
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_starter, name="starter-watch", daemon=True).start()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())


class _Servicer(ProviderServicer):
    """The SDK's servicer for several engines at once, which may attach to what they didn't start.

    Each engine has connections of its own: the peer tells whose request it is.
    """

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802 — the protocol's name
        with unfinished.asked_by(context.peer()):
            return await super().Create(request, context)

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802 — the protocol's name
        with unfinished.asked_by(context.peer()):
            return await super().Update(request, context)

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802 — the protocol's name
        with unfinished.asked_by(context.peer()):
            return await super().Cancel(request, context)  # type: ignore[no-untyped-call]  # the SDK's

    async def Attach(self, request: Any, context: Any) -> Empty:  # noqa: N802 — the protocol's name
        # An engine's address is for those who declare resources of their own.
        return Empty()


async def _serve() -> None:
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)], compression=None
    )
    servicer = _Servicer(sys.argv[1:], __version__, MachineProvider(), engine_address="")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


async def _make(
    kind: Kind,
    urn: str,
    name: str,
    properties: dict[str, PropertyValue],
    old: dict[str, Any],
) -> dict[str, PropertyValue]:
    inputs = to_python(properties)
    state = await asyncio.to_thread(kind.make, urn, name, inputs, old)
    return to_properties(state, _secret(kind, properties, inputs))


def _preview(
    kind: Kind, properties: dict[str, PropertyValue], old: dict[str, Any]
) -> dict[str, PropertyValue]:
    inputs = to_python(properties)
    known = to_properties(kind.foreseen(inputs, old), _secret(kind, properties, inputs))
    later = {name: unknown() for name in kind.OUTPUTS}
    return sendable({**properties, **later, **known}, kind.SECRETS)


def _secret(
    kind: Kind, properties: dict[str, PropertyValue], inputs: dict[str, Any]
) -> frozenset[str]:
    """Return the names of the properties that are marked as secrets in the state."""
    given = secret_names(properties) | kind.SECRETS
    # A process's state repeats its inputs as a whole, so a secret one makes the whole a secret.
    return given | kind.secret_outputs(inputs) | ({"inputs"} if given else set())


def _end_with_starter() -> None:
    starter = os.getppid()
    # Adopted by init: the starter ended before this began.
    if starter != 1:
        with suppress(psutil.NoSuchProcess):
            # Whether or not anybody takes notice of its end.
            await_end({psutil.Process(starter)}, _LONGER_THAN_ANY_COMMAND)
    unfinished.end_unfinished()
    os._exit(1)


def _end(_number: int, _frame: FrameType | None) -> None:
    unfinished.end_unfinished()
    os._exit(0)


if __name__ == "__main__":
    main()
