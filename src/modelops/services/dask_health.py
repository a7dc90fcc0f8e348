"""Asking a Dask scheduler which workers it has."""

import asyncio
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from distributed.core import rpc
from distributed.security import Security

from modelops.services.dask_connection import client_security
from modelops.worker.groups import group_resource

SILENT_SECONDS = 30.0
"""How long a worker may say nothing; they call their scheduler every second or so."""

# What Dask raises for bytes that aren't its protocol: it takes them for lengths and messages.
NOT_DASK = (MemoryError, struct.error, ValueError, TypeError, KeyError)


@dataclass(frozen=True)
class WorkerSeen:
    """A worker as its scheduler knows it.

    Attributes:
        name: what its supervisor calls it.
        resources: the Dask resources that it offers; its group is one of them.
        silent: seconds since it was heard of last.
    """

    name: str
    resources: frozenset[str]
    silent: float

    @property
    def is_silent(self) -> bool:
        """Whether it hangs, or its machine is gone."""
        return self.silent > SILENT_SECONDS

    def is_of(self, group: str) -> bool:
        """Return whether the worker belongs to a group."""
        return group_resource(group) in self.resources


def workers_of(
    scheduler: str, seconds: float, environ: Mapping[str, str] = MappingProxyType({})
) -> tuple[WorkerSeen, ...]:
    """Return the workers that have registered with a scheduler.

    Args:
        scheduler: its address.
        seconds: how long it may take to answer.
        environ: what a client of the cluster is told (`dask_settings.tls_env`); what isn't there is
            as Dask's own settings say.

    Raises:
        TimeoutError: if it doesn't answer in time.
        OSError: if it can't be reached; the message is for people.
    """
    try:
        identity = asyncio.run(_identity(scheduler, seconds, client_security(environ)))
        now = time.time()
        return tuple(_seen(worker, now) for worker in identity["workers"].values())
    except NOT_DASK as error:
        raise ConnectionError("what listens there isn't a Dask scheduler") from error


async def _identity(scheduler: str, seconds: float, security: Security) -> Mapping[str, Any]:
    connect: Any = rpc
    arguments = security.get_connection_args("client")
    async with asyncio.timeout(seconds):
        async with connect(scheduler, timeout=seconds, connection_args=arguments) as remote:
            identity: Mapping[str, Any] = await remote.identity(n_workers=-1)
            return identity


def _seen(worker: Mapping[str, Any], now: float) -> WorkerSeen:
    return WorkerSeen(
        str(worker["name"]), frozenset(worker["resources"]), max(0.0, now - worker["last_seen"])
    )
