"""HTTP to an OCI registry: oras-py's session, with errors that say what to do.

oras-py's own requests are tried again for two minutes whatever the reason, have no time limit and
read a whole upload into memory; what is sent here isn't.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
import urllib3
from oras.logger import logger as oras_logger
from oras.provider import Registry
from requests.adapters import HTTPAdapter

from modelops.bundles.access import CA_VARIABLE, RegistryAccess
from modelops.bundles.authentication import Authentication, is_html
from modelops.bundles.origins import Origin, is_loopback
from modelops.bundles.receiving import BlobReceiver
from modelops.bundles.redaction import log_no_queries
from modelops.bundles.retrying import NoSuchRangeError, PassingError, asked_to_wait, retried
from modelops.bundles.sending import Request, Sender, error_text, load, reason_of, status_of
from modelops.core.errors import BundleError, BundleNotThereError, RegistryRefusalError

INSECURE_VARIABLE = "MODELOPS_BUNDLE_INSECURE"

_TIMEOUT = (10.0, 60.0)
"""Seconds until there is a connection, and until the next byte comes."""
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_SHOWN = 500
_MAX_LOADED_BYTES = 16 * 1024 * 1024
"""As much of a list, or whatever else is read whole, as is taken."""
_PASSING_STATUS = frozenset({429, 500, 502, 503, 504})
_WORTH_GOING_ON = 8 * 2**20
"""How much of a blob must have come in some attempts that others are made."""
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-")


_SILENT = logging.NullHandler()

_T = TypeVar("_T")


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

    def __init__(self, host: str, access: RegistryAccess | None = None) -> None:
        """Make a transport; nothing is sent yet.

        Args:
            host: `host[:port]`. Plain HTTP is spoken to loopback and, if the environment variable
                MODELOPS_BUNDLE_INSECURE is `true`, to any host; but never where a CA is given.
            access: who we are there, and the CA; without it, those that the machine knows.

        Raises:
            BundleError: if MODELOPS_BUNDLE_INSECURE is something else than true or false, or the
                CA's file isn't there.
        """
        self.host = host
        access = access or RegistryAccess(host)
        loopback = is_loopback(host)
        insecure = _insecure() and not access.ca_file
        plain = insecure or (loopback and not access.ca_file)
        self._scheme = "http" if plain else "https"
        if access.ca_file and not Path(access.ca_file).is_file():
            raise BundleError(
                f"The CA of the bundle registry {host} isn't there: {access.ca_file}.",
                hint="A registry of a stack gets it anew with: mops registry up",
            )
        # What went wrong is in our errors; oras-py and, where nobody configured logging, stamina
        # would print it too.
        oras_logger.set_level(logging.CRITICAL)
        logging.getLogger("stamina").addHandler(_SILENT)
        log_no_queries()
        registry = Registry(hostname=host, insecure=self._scheme == "http")
        self._session: requests.Session = registry.session
        if loopback:
            # A proxy can't reach this machine's loopback.
            self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _TimedAdapter())
        try:
            own = Origin.of(f"{self._scheme}://{host}")
        except ValueError as error:
            raise BundleError(f"{host!r} isn't a bundle registry: {error}.") from error
        sender = Sender(self._session, own, ca_file=access.ca_file, insecure=insecure)
        self._sender = sender
        self._authentication = Authentication(host, access, sender)

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
        exchange = _Exchange(method, self._url(path), headers or {}, body, missing, read)
        return self.patiently(lambda: self._attempt(exchange))

    def ping(self) -> None:
        """Ask once whether a registry is there and lets us in (OCI distribution spec, `/v2/`).

        Raises:
            BundleError: that says why not.
        """
        url = f"{self._scheme}://{self.host}/v2/"
        try:
            self._attempt(_Exchange("GET", url, missing="such API (/v2/)"))
        except PassingError as error:
            raise self._unusable(error) from error

    def download(self, path: str, receiver: BlobReceiver) -> None:
        """Get a blob (OCI distribution spec 1.1, "Pulling blobs").

        One that breaks off is taken up where it did (RFC 9110, "Range Requests"), or from its first
        byte by a registry that sends no parts. While parts come there is no end to that; where
        nothing more comes, it's given up after seconds.

        Raises:
            BundleError: as for `request`, and if it isn't the blob.
            OSError: if it can't be written.
        """
        while True:
            before = receiver.received
            try:
                retried(lambda: self._download_once(path, receiver))
            except PassingError as error:
                if receiver.received - before < _WORTH_GOING_ON:
                    raise self._unusable(error) from error
            else:
                receiver.finish()
                return

    def once(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        missing: str = "",
    ) -> requests.Response:
        """Send a request as `request` does, but once.

        Raises:
            PassingError: if it's worth another try.
            BundleError: as for `request`.
        """
        return self._attempt(_Exchange(method, self._url(url), headers or {}, body, missing))

    def patiently(self, attempt: Callable[[], _T]) -> _T:
        """Return what `attempt` returns, tried again for some time while it raises PassingError.

        Raises:
            BundleError: if the time is over.
        """
        try:
            return retried(attempt)
        except PassingError as error:
            raise self._unusable(error) from error

    def _url(self, path: str) -> str:
        return path if "://" in path else f"{self._scheme}://{self.host}{path}"

    def _download_once(self, path: str, receiver: BlobReceiver) -> None:
        def read(response: requests.Response) -> None:
            start = _first_byte(response)
            if start != receiver.received:
                receiver.restart()
                if start:
                    raise PassingError("it sent another part of a blob than it was asked for")
            try:
                receiver.take(response.raw)
            except urllib3.exceptions.HTTPError as error:
                raise PassingError(reason_of(error)) from error

        part = {"Range": f"bytes={receiver.received}-"} if receiver.received else {}
        try:
            self._attempt(_Exchange("GET", self._url(path), part, missing=receiver.what, read=read))
        except NoSuchRangeError:
            receiver.restart()
            raise

    def _attempt(self, exchange: _Exchange) -> requests.Response:
        try:
            with self._authenticated(exchange) as response:
                self._check(response, exchange.missing)
                if exchange.read is not None and response.ok:
                    exchange.read(response)
                else:
                    # Read it before the connection goes back.
                    load(response, _MAX_LOADED_BYTES)
        except _PASSING as error:
            if isinstance(error, requests.exceptions.SSLError):
                raise self._unusable(error) from error
            raise PassingError(reason_of(error)) from error
        except requests.RequestException as error:
            raise self._unusable(error) from error
        return response

    def _unusable(self, error: Exception) -> BundleError:
        return BundleError(
            f"The bundle registry {self.host} can't be used: {reason_of(error)}",
            hint=self._reach_hint(),
        )

    def _authenticated(self, exchange: _Exchange) -> requests.Response:
        """Send a request; if the registry asks who we are, say so and send it once more."""
        method, url = exchange.method, exchange.url
        request = Request(method, url, exchange.headers, exchange.body)
        header = self._authentication.header(method, url)
        response = self._sender.send(request, header)
        if response.status_code not in (401, 403) or not self._sender.is_own(response):
            return response
        with ExitStack() as refused:
            refused.callback(response.close)
            answer = self._authentication.answer(method, url, response, header)
            if not answer:
                refused.pop_all()
                return response
        return self._sender.send(request, answer)

    def _check(self, response: requests.Response, missing: str) -> None:
        status = response.status_code
        if status in _PASSING_STATUS:
            raise PassingError(f"it answered {status_of(response)}", asked_to_wait(response))
        if status == 416:
            raise NoSuchRangeError(f"it answered {status_of(response)}")
        if status in (401, 403) or is_html(response):
            raise self._authentication.denied(response)
        if status == 404 and missing:
            raise BundleNotThereError(
                f"There is no {missing} in the bundle registry {self.host}.",
                hint="List what is there with: mops bundle list",
            )
        if not 200 <= status < 300 and status != 404:
            said = self._authentication.secrets.hide(_problem(error_text(response)))
            raise RegistryRefusalError(
                f"The bundle registry {self.host} answered {status_of(response)} to "
                f"{response.request.method}: {said[:_SHOWN] or 'no reason given'}",
                status,
            )

    def _reach_hint(self) -> str:
        if self._scheme == "https":
            return (
                f"Check the address and that the registry runs. If it speaks plain HTTP: "
                f"{INSECURE_VARIABLE}=true. If a CA of your own signed its certificate: "
                f"{CA_VARIABLE}=FILE"
            )
        return "Check the address and that the registry runs."


def _first_byte(response: requests.Response) -> int:
    """Return which byte of a blob an answer begins with."""
    if response.status_code != 206:
        return 0
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _insecure() -> bool:
    value = os.environ.get(INSECURE_VARIABLE, "").strip().lower()
    if value not in ("", "true", "false"):
        raise BundleError(
            f"{INSECURE_VARIABLE} is {value!r}.", hint=f"Set {INSECURE_VARIABLE}=true or unset it."
        )
    return value == "true"


def _problem(body: str) -> str:
    """Return what the registry says is wrong (OCI distribution spec 1.1, "Error Codes")."""
    try:
        errors = json.loads(body)["errors"]
        return "; ".join(f"{item.get('code')}: {item.get('message')}" for item in errors)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return body.strip()
