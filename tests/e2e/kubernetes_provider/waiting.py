"""Waiting for objects to be ready, or gone, by watching them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from kubernetes_provider.api import Api, Event, StatusError
from kubernetes_provider.awaits.base import Await, FailedError
from kubernetes_provider.objects import at, kind_of, name_of, namespace_of
from kubernetes_provider.properties import Object

Say = Callable[[str, str], Awaitable[None]]
"""Says something of the resource while it's at work: severity and message."""

LONGEST_SECONDS = 600.0
"""How long is waited unless the program says otherwise."""


@dataclass
class NotReadyError(Exception):
    """An object exists, or still exists, but isn't as it should be.

    Attributes:
        message: what went wrong.
        reasons: what is known of why.
        item: the object as it was seen last.
    """

    message: str
    reasons: list[str]
    item: Object

    def __str__(self) -> str:
        return self.message


async def await_ready(
    api: Api, wait: Await, seconds: float, say: Say, cancelled: asyncio.Event
) -> Object:
    """Return the object once it's ready.

    Raises:
        NotReadyError: if it fails, doesn't become ready in time, or the engine is told to stop.
    """
    if wait.is_ready:
        return wait.item
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(seconds, wait.LONGEST_SECONDS)
    async with _watching(api, wait, cancelled) as events:
        while not wait.is_ready:
            for severity, message in wait.news():
                await say(severity, message)
            left = deadline - loop.time()
            quiet = left if wait.is_quiet else min(left, wait.QUIET_SECONDS)
            try:
                event = await asyncio.wait_for(events.get(), max(quiet, 0.0))
            except TimeoutError:
                if quiet < left:
                    wait.is_quiet = True
                    continue
                if wait.finish():
                    break
                raise NotReadyError(wait.timed_out(), wait.reasons(), wait.item) from None
            await _take(event, wait, say)
    for severity, message in wait.news():
        await say(severity, message)
    return wait.item


async def check_ready(api: Api, wait: Await) -> None:
    """Look once at whether an object is ready.

    Raises:
        NotReadyError: if it isn't.
    """
    has_failed = False
    for api_version, kind in wait.KINDS:
        items, _ = await api.list(api_version, kind, namespace_of(wait.item))
        for item in items:
            try:
                wait.observe(Event("ADDED", item))
            except FailedError:
                # What belongs to it may still say why.
                has_failed = True
    wait.is_quiet = True
    if has_failed or not wait.is_ready:
        raise _failed(wait)


async def await_gone(
    api: Api, item: Object, seconds: float, say: Say, cancelled: asyncio.Event
) -> None:
    """Return once an object that was deleted is gone.

    Raises:
        NotReadyError: if it's still there after that time.
    """
    last = item

    async def watched() -> None:
        nonlocal last
        known = await api.get_like(item)
        fields = f"metadata.name={name_of(item)}"
        watch = api.watch(*kind_of(item), namespace_of(item), fields, known=[known])
        async with contextlib.aclosing(watch) as events:
            async for event in events:
                if event.type == "DELETED":
                    return
                last = event.item

    watching = asyncio.ensure_future(watched())
    stopping = asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait(
            {watching, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if watching.done():
            with contextlib.suppress(_GoneError):
                _unless_missing(watching)
            return
    finally:
        for task in (watching, stopping):
            task.cancel()
        await asyncio.gather(watching, stopping, return_exceptions=True)
    finalizers = ", ".join(at(last, "metadata", "finalizers") or ())
    await say("warning", f"finalizers might be preventing deletion ({finalizers})")
    raise NotReadyError("timed out waiting for the condition", [], last)


class _GoneError(Exception):
    pass


def _unless_missing(task: "asyncio.Future[None]") -> None:
    try:
        task.result()
    except StatusError as error:
        if error.code == 404:
            raise _GoneError from None
        raise


def _failed(wait: Await) -> NotReadyError:
    message = f"Resource '{name_of(wait.item)}' was created but failed to initialize"
    return NotReadyError(message, wait.reasons(), wait.item)


async def _take(event: Event | BaseException, wait: Await, say: Say) -> None:
    if isinstance(event, asyncio.CancelledError):
        message = f'Resource operation was cancelled for "{name_of(wait.item)}"'
        raise NotReadyError(message, wait.reasons(), wait.item)
    if isinstance(event, BaseException):
        raise NotReadyError(str(event), wait.reasons(), wait.item) from event
    if event.item["kind"] == "Event":
        is_warning = event.item.get("type") == "Warning"
        text = f"{event.item.get('reason')}: {event.item.get('message')}"
        wait.say(text, "warning" if is_warning else "debug")
        return
    try:
        wait.observe(event)
    except FailedError:
        raise _failed(wait) from None


@contextlib.asynccontextmanager
async def _watching(
    api: Api, wait: Await, cancelled: asyncio.Event
) -> AsyncIterator["asyncio.Queue[Event | BaseException]"]:
    """Give a queue of what watches see of the object and what belongs to it, and of its events."""
    events: asyncio.Queue[Event | BaseException] = asyncio.Queue()
    namespace = namespace_of(wait.item)

    async def watch(api_version: str, kind: str, fields: str = "") -> None:
        try:
            async with contextlib.aclosing(api.watch(api_version, kind, namespace, fields)) as seen:
                async for event in seen:
                    events.put_nowait(event)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 — it's for whoever waits
            events.put_nowait(error)

    async def stop() -> None:
        await cancelled.wait()
        events.put_nowait(asyncio.CancelledError())

    about = f"involvedObject.uid={wait.item['metadata']['uid']}"
    tasks = [asyncio.ensure_future(watch(*kind)) for kind in wait.KINDS]
    tasks += [asyncio.ensure_future(watch("v1", "Event", about)), asyncio.ensure_future(stop())]
    try:
        yield events
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
