"""HTTP to an OCI registry: oras-py's session and authentication, with errors that say what to do.

oras-py's own requests are tried again for two minutes whatever the reason, have no time limit and
read a whole upload into memory; what is sent here isn't.
"""

import ipaddress
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import requests
import stamina
from oras.auth import get_auth_backend
from oras.container import Container
from oras.logger import logger as oras_logger
from oras.provider import Registry
from requests.adapters import HTTPAdapter

from modelops.core.errors import BundleError

INSECURE_VARIABLE = "MODELOPS_BUNDLE_INSECURE"

_TIMEOUT = (10.0, 60.0)
"""Seconds until there is a connection, and until the next byte comes."""
_ATTEMPTS, _PATIENCE = 4, 20.0
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_PASSING_STATUS = frozenset({429, 500, 502, 503, 504})


_SILENT = logging.NullHandler()


class _PassingError(Exception):
    """What may be otherwise a moment later."""


class Body:
    """A body that is sent piece by piece and, after a refusal, from its beginning again."""

    def __init__(self, chunks: Callable[[], Iterator[bytes]], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks()

    def __len__(self) -> int:
        return self._size


@dataclass(frozen=True)
class _Exchange:
    """A request and what becomes of its answer; see `RegistryTransport.request`."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = None
    missing: str = ""
    read: Callable[[requests.Response], None] | None = None


class _TimedAdapter(HTTPAdapter):
    """Limits every request in time, those of oras-py's authentication too."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or _TIMEOUT
        return super().send(request, *args, **kwargs)


class RegistryTransport:
    """Sends requests to one registry."""

    def __init__(self, host: str) -> None:
        """Make a transport; nothing is sent yet.

        Args:
            host: `host[:port]`. Plain HTTP is spoken to loopback and, if the environment variable
                MODELOPS_BUNDLE_INSECURE is `true`, to any host.

        Raises:
            BundleError: if MODELOPS_BUNDLE_INSECURE is something else than true or false.
        """
        self.host = host
        loopback = _is_loopback(host)
        self._scheme = "http" if _insecure() or loopback else "https"
        # What went wrong is in our errors; oras-py and, where nobody configured logging, stamina
        # would print it too.
        oras_logger.set_level(logging.CRITICAL)
        logging.getLogger("stamina").addHandler(_SILENT)
        self._registry = Registry(hostname=host, insecure=self._scheme == "http")
        self._session: requests.Session = self._registry.session
        if loopback:
            # A proxy can't reach this machine's loopback.
            self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _TimedAdapter())
        self._knows_login = False

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        missing: str = "",
        read: Callable[[requests.Response], None] | None = None,
    ) -> requests.Response:
        """Send a request and return the answer, whose status is 2xx; or 404 if nothing is said.

        Errors that pass by themselves (no connection, a busy server) are waited out for seconds.

        Args:
            method: of HTTP.
            path: below the registry's address, or a whole URL that the registry gave.
            headers: of the request.
            body: what is sent.
            missing: what isn't there if the status is 404; empty to get such an answer too.
            read: reads the content as it comes, from the beginning if it's tried again. Without it
                the content is in memory.

        Raises:
            BundleError: that says what the registry refused, or that it can't be reached.
        """
        url = path if "://" in path else f"{self._scheme}://{self.host}{path}"
        exchange = _Exchange(method, url, headers or {}, body, missing, read)
        return self._patiently(lambda: self._attempt(exchange))

    def upload(self, path: str, digest: str, body: Body) -> None:
        """Send a blob to the repository at `path` (OCI distribution spec 1.1, "POST then PUT").

        Raises:
            BundleError: as for `request`.
        """
        url = f"{self._scheme}://{self.host}{path}/blobs/uploads/"
        kind = {"Content-Type": "application/octet-stream"}
        beginning = _Exchange("POST", url, missing=f"path {path}")

        def attempt() -> requests.Response:
            # A broken upload can't be taken up again: each attempt begins one.
            started = self._attempt(beginning)
            location = started.headers.get("Location")
            if not location:
                raise BundleError(
                    f"The bundle registry {self.host} doesn't say where to upload to."
                )
            target = _with_query(urljoin(started.url, location), digest=digest)
            return self._attempt(_Exchange("PUT", target, kind, body, missing="such upload"))

        self._patiently(attempt)

    def _load_credentials(self) -> None:
        """Read what `docker login` and `oras login` wrote; it may ask a credential helper."""
        if self._knows_login:
            return
        self._knows_login = True
        folder = os.environ.get("DOCKER_CONFIG")
        path = Path(folder) / "config.json" if folder else None
        configs = [str(path)] if path is not None and path.exists() else None
        try:
            self._registry.auth.load_configs(Container("bundle", registry=self.host), configs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                f"The login of {self.host} can't be read: {error!r}", hint=self._login_hint()
            ) from error

    def _patiently(self, attempt: Callable[[], requests.Response]) -> requests.Response:
        try:
            return stamina.retry(
                on=_PassingError, attempts=_ATTEMPTS, timeout=_PATIENCE, wait_jitter=0.1
            )(attempt)()
        except _PassingError as error:
            raise self._unusable(error) from error

    def _attempt(self, exchange: _Exchange) -> requests.Response:
        try:
            with self._authenticated(exchange) as response:
                self._check(response, exchange.missing)
                if exchange.read is not None and response.ok:
                    exchange.read(response)
                else:
                    # Read it before the connection goes back.
                    _ = response.content
        except _PASSING as error:
            if isinstance(error, requests.exceptions.SSLError):
                raise self._unusable(error) from error
            raise _PassingError(_reason(error)) from error
        except requests.RequestException as error:
            raise self._unusable(error) from error
        return response

    def _unusable(self, error: Exception) -> BundleError:
        return BundleError(
            f"The bundle registry {self.host} can't be used: {_reason(error)}",
            hint=self._reach_hint(),
        )

    def _authenticated(self, exchange: _Exchange) -> requests.Response:
        """Send a request; if the registry asks who we are, say so and send it once more."""
        # Nobody but the registry gets its token.
        own = exchange.url.startswith(f"{self._scheme}://{self.host}/")
        auth = self._registry.auth
        response = self._send(exchange, auth.get_auth_header() if own else {})
        if response.status_code not in (401, 403) or not own:
            return response
        self._load_credentials()
        if response.headers.get("Www-Authenticate", "").lower().startswith("basic"):
            self._use_basic()
        try:
            # What oras-py raises for a challenge that it doesn't understand isn't of one kind.
            answer, changed = self._registry.auth.authenticate_request(response, {}, refresh=True)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise self._denied(response) from error
        if not changed:
            return response
        response.close()
        return self._send(exchange, answer)

    def _send(self, exchange: _Exchange, authorization: Mapping[str, str]) -> requests.Response:
        # Some servers would send a blob compressed once more: its digest is that of the plain one.
        headers = {**exchange.headers, "Accept-Encoding": "identity", **authorization}
        return self._session.request(
            exchange.method, exchange.url, headers=headers, data=exchange.body, stream=True
        )

    def _use_basic(self) -> None:
        """Answer with user and password themselves, for a registry that gives no tokens."""
        known = getattr(self._registry.auth, "_basic_auth", None)
        if known is None:
            raise BundleError(
                f"The bundle registry {self.host} asks for a password.", hint=self._login_hint()
            )
        basic: Any = get_auth_backend("basic", self._session, self._scheme == "http")
        basic._basic_auth = known  # noqa: SLF001 - oras-py has no other way in for what it read
        self._registry.auth = basic

    def _check(self, response: requests.Response, missing: str) -> None:
        status = response.status_code
        if status in _PASSING_STATUS:
            raise _PassingError(f"it answered {status} {response.reason}")
        if status in (401, 403) or _is_html(response):
            raise self._denied(response)
        if status == 404 and missing:
            raise BundleError(
                f"There is no {missing} in the bundle registry {self.host}.",
                hint="List what is there with: mops bundle list",
            )
        if not response.ok and status != 404:
            raise BundleError(
                f"The bundle registry {self.host} answered {status} {response.reason} to "
                f"{response.request.method}: {_problem(response)}"
            )

    def _denied(self, response: requests.Response) -> BundleError:
        what = "a login page" if _is_html(response) else f"{response.status_code} {response.reason}"
        return BundleError(
            f"Authentication failed: the bundle registry {self.host} answered {what}.",
            hint=self._login_hint(),
        )

    def _login_hint(self) -> str:
        name, dot, domain = self.host.partition(".")
        if dot and domain.startswith("azurecr."):
            return f"Log in with: az acr login --name {name}"
        return f"Log in with: docker login {self.host} (or: oras login {self.host})"

    def _reach_hint(self) -> str:
        if self._scheme == "https":
            return (
                f"Check the address and that the registry runs. If it speaks plain HTTP: "
                f"{INSECURE_VARIABLE}=true"
            )
        return "Check the address and that the registry runs."


def _is_loopback(host: str) -> bool:
    name = host[1 : host.index("]")] if host.startswith("[") else host.rpartition(":")[0] or host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _insecure() -> bool:
    value = os.environ.get(INSECURE_VARIABLE, "").strip().lower()
    if value not in ("", "true", "false"):
        raise BundleError(
            f"{INSECURE_VARIABLE} is {value!r}.", hint=f"Set {INSECURE_VARIABLE}=true or unset it."
        )
    return value == "true"


def _is_html(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").lower().startswith("text/html")


def _problem(response: requests.Response) -> str:
    """Return what the registry says is wrong (OCI distribution spec 1.1, "Error Codes")."""
    try:
        errors = response.json()["errors"]
        return "; ".join(f"{item.get('code')}: {item.get('message')}" for item in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text[:200].strip() or "no reason given"


def _reason(error: Exception) -> str:
    """Return the innermost reason: what urllib3 wraps around it helps nobody."""
    while isinstance(getattr(error, "reason", None), Exception):
        error = error.reason  # type: ignore[attr-defined]
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else None
    return _reason(inner) if inner is not None else str(error)


def _with_query(url: str, **more: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *more.items()]
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
