"""Connecting to a Dask scheduler, and saying what is wrong where it isn't possible.

Dask takes its TLS settings from the environment (`dask_settings.tls_env`).
"""

import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from distributed import Client
from distributed.comm.core import connect
from distributed.security import Security

from modelops.core.errors import ServiceError
from modelops.services.dask_settings import tls_files


class SchedulerAwayError(ServiceError):
    """There's no scheduler now; there may be one later."""


async def connected_client(
    scheduler: str | Client,
    *,
    security: Security | None,
    connect_timeout: float,
    reconnect_timeout: float,
) -> Any:
    """Return a client in the running loop; one that is given has a loop of its own.

    Any, since Dask's client has hardly any types.

    Args:
        scheduler: its address, or a client of it.
        security: which certificate to show; None for Dask's own settings, or the client's.
        connect_timeout: seconds to wait for the scheduler now.
        reconnect_timeout: seconds to wait for it when it went away.

    Raises:
        ServiceError: if the scheduler doesn't answer, or doesn't take us for one of its own.
    """
    address, security = _place(scheduler, security)
    client: Callable[..., Awaitable[Any]] = Client
    try:
        # First by ourselves: the client has one time limit, for this and for reconnecting.
        comm = await connect(
            address, timeout=connect_timeout, **security.get_connection_args("client")
        )
        await comm.close()
        return await client(
            address,
            asynchronous=True,
            security=security,
            timeout=reconnect_timeout,
            set_as_default=False,
        )
    except (OSError, TimeoutError, TypeError, RuntimeError) as error:
        raise refused(address, error) from error


def client_security(environ: Mapping[str, str]) -> Security:
    """Return what a client shows who was told `environ` (`dask_settings.tls_env`).

    What isn't there is as Dask's own settings say.
    """
    security: Callable[..., Security] = Security
    return security(**tls_files(environ))


def refused(address: str, error: Exception) -> ServiceError:
    """Return what to say of an error that Dask raised while it connected."""
    if _is_about_tls(error):
        return ServiceError(
            f"The Dask scheduler at {address} and we can't agree on TLS: {_words(error)}",
            hint="It takes those alone who have a certificate of its workspace. Set the "
            "variables DASK_SCHEDULER and DASK_DISTRIBUTED__… as these say: "
            "mops workspace outputs",
        )
    return SchedulerAwayError(
        f"The Dask scheduler at {address} doesn't answer: {error}",
        hint="See whether it runs (mops status) and whether the address is right.",
    )


def _place(scheduler: Any, security: Security | None) -> tuple[str, Security]:
    if isinstance(scheduler, str):
        return scheduler, security or Security()
    return scheduler.scheduler.address, security or scheduler.security or Security()


def _is_about_tls(error: BaseException) -> bool:
    """Return whether it's a refusal by either side, or settings that lack or miss a part.

    Dask raises TypeError where it has no certificate for a `tls://` address, RuntimeError where it
    has one and the address is `tcp://`; a file that isn't there raises FileNotFoundError. The
    scheduler hangs up on who has none of its certificates, and on who speaks no TLS.
    """
    told = (TypeError, RuntimeError, FileNotFoundError, PermissionError, ConnectionResetError)
    return any(isinstance(cause, (ssl.SSLError, *told)) for cause in _causes(error))


def _words(error: BaseException) -> str:
    """Return what the innermost cause says; Dask's own words often are of its objects only."""
    words = [str(cause) for cause in _causes(error) if str(cause)]
    return words[-1] if words else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
