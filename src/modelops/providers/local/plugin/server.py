"""`pulumi-resource-modelops`: the plugin that the engine finds on PATH and talks to."""

import asyncio
import os
import sys
import threading
from contextlib import suppress
from typing import Any

import psutil
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
from pulumi.provider.experimental.server import main as serve

from modelops import __version__
from modelops.providers.local.plugin import directory, process
from modelops.providers.local.plugin.properties import (
    secret_names,
    sendable,
    to_properties,
    to_python,
    unknown,
)

PROCESS = "modelops:index:Process"
DIRECTORY = "modelops:index:Directory"
_UNKNOWN_BEFORE_CREATE = {
    PROCESS: ("ports", "pid", "started", "boot", "alive", "exit_code", "directory"),
    DIRECTORY: ("exists",),
}


class MachineProvider(Provider):
    """Process and Directory for this machine."""

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
        inputs = to_python(request.new_inputs)
        not_known = request.new_inputs.keys() - inputs.keys()
        found = _kind(request.type).problems(inputs)
        failures = [
            CheckFailure(name, reason) for name, reason in found.items() if name not in not_known
        ]
        return CheckResponse(inputs=sendable(request.new_inputs), failures=failures)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Compare the state with the inputs and with what is alive; all is done by an update."""
        state, inputs = to_python(request.old_state), to_python(request.new_inputs)
        changed = _kind(request.type).changes(state, inputs)
        return DiffResponse(changes=bool(changed), diffs=changed)

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Make the resource; in a preview, say which outputs aren't known yet."""
        if request.preview:
            names = _UNKNOWN_BEFORE_CREATE[_own_type(request.type)]
            properties = {**request.properties, **{name: unknown() for name in names}}
            return CreateResponse(properties=sendable(properties))
        state = await self._make(request.type, request.urn, request.name, request.properties, {})
        return CreateResponse(request.name, state)

    async def read(self, request: ReadRequest) -> ReadResponse:
        """Look at the resource; one that died stays in the state, with alive or exists false."""
        state = to_python(request.properties)
        secret = secret_names(request.properties)
        now = await asyncio.to_thread(_kind(request.type).refreshed, state)
        return ReadResponse(request.resource_id, to_properties(now, secret), request.inputs)

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        """Make it as the inputs say: end the old one, start anew at the same address."""
        old = to_python(request.olds)
        if request.preview:
            return UpdateResponse(sendable({**request.olds, **request.news}))
        if _own_type(request.type) == PROCESS:
            await asyncio.to_thread(process.end, old)
        state = await self._make(request.type, request.urn, request.name, request.news, old)
        return UpdateResponse(state)

    async def delete(self, request: DeleteRequest) -> None:
        """End a process and remove its folder; a directory's data stay."""
        if _own_type(request.type) == PROCESS:
            state = to_python(request.properties)
            await asyncio.to_thread(process.end, state)
            await asyncio.to_thread(process.remove, state)

    async def cancel(self) -> None:
        """End what is starting: the engine was interrupted."""
        await asyncio.to_thread(process.end_unfinished)

    async def _make(
        self,
        kind: str,
        urn: str,
        name: str,
        properties: dict[str, PropertyValue],
        old: dict[str, Any],
    ) -> dict[str, PropertyValue]:
        inputs = to_python(properties)
        secret = secret_names(properties)
        if _own_type(kind) == DIRECTORY:
            state = await asyncio.to_thread(directory.create, inputs)
        else:
            # The state repeats the inputs as a whole, so a secret one makes the whole a secret.
            secret = secret | {"inputs"} if secret else secret
            kept = old.get("ports", {})
            state = await asyncio.to_thread(process.start, urn, name, inputs, kept)
        return to_properties(state, secret)


def main() -> None:
    """Serve until the engine ends."""
    threading.Thread(target=_end_with_engine, name="engine-watch", daemon=True).start()
    serve(sys.argv[1:], __version__, MachineProvider())


def _kind(resource_type: str) -> Any:
    return {PROCESS: process, DIRECTORY: directory}[_own_type(resource_type)]


def _own_type(qualified: str) -> str:
    """Return a resource's type without those of its parents (`parent$own`)."""
    return qualified.rsplit("$", 1)[-1]


def _end_with_engine() -> None:
    engine = os.getppid()
    # Adopted by init: the engine ended before this began.
    if engine != 1:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(engine).wait()
    process.end_unfinished()
    os._exit(1)


if __name__ == "__main__":
    main()
