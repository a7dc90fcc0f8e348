"""Bringing objects to the server: made by a plain POST, then changed by server-side apply."""

import asyncio
from collections.abc import Sequence

from kubernetes_provider.api import Api, NoMatchError, StatusError
from kubernetes_provider.fields import CREATOR, must_force, taken_over, without_ignored
from kubernetes_provider.objects import PATCH_FORCE, is_set
from kubernetes_provider.properties import Object
from kubernetes_provider.waiting import Say

_RETRIES_AFTER_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)


async def created(api: Api, new: Object, say: Say, *, preview: bool, upsert: str) -> Object:
    """Make an object and return what the server made of it.

    What it needs (its namespace, its kind's definition) may be made at the same time, so a creation
    that finds it missing is tried again for half a minute; not in a preview.

    Args:
        api: the cluster.
        new: the object.
        say: tells of tries.
        preview: whether it's a dry run.
        upsert: the manager to apply it with, should it be there; empty if it mustn't.
    """
    for number, seconds in enumerate((*_RETRIES_AFTER_SECONDS, None)):
        try:
            if upsert:
                force = must_force(is_set(new, PATCH_FORCE), None, preview=preview)
                return await api.apply(new, upsert, force=force, dry_run=preview)
            return await api.create(new, CREATOR, dry_run=preview)
        except (StatusError, NoMatchError) as error:
            is_missing = isinstance(error, NoMatchError) or error.code == 404
            if not is_missing or preview or seconds is None:
                raise _explained(error, upsert) from error
            await say("info", f"Retry #{number}; creation failed: {error}")
            await asyncio.sleep(seconds)
    raise AssertionError("unreachable")


async def applied(
    api: Api,
    new: Object,
    live: Object,
    manager: str,
    ignored: Sequence[str],
    *,
    force: bool,
    preview: bool,
) -> Object:
    """Apply an object to what is there and return what the server made of it.

    Fields that other managers have are a conflict, unless they are taken by force.
    """
    patch = None if preview else taken_over(live, manager)
    if patch is not None:
        live = await api.patch(live, patch)
    wanted = without_ignored(new, live, manager, ignored)
    forced = must_force(force or is_set(new, PATCH_FORCE), live, preview=preview)
    try:
        return await api.apply(wanted, manager, force=forced, dry_run=preview)
    except StatusError as error:
        raise _explained(error, manager) from error


def _explained(error: Exception, manager: str) -> Exception:
    if isinstance(error, StatusError) and error.reason == "Conflict":
        text = f'The resource managed by field manager "{manager}" had an apply conflict: {error}'
        error.args = (f"server-side apply field conflict detected\n{text}",)
    return error
