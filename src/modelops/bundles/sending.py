"""Sends one request to wherever the registry leads, and credentials to the registry alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urljoin

import requests

from modelops.bundles.origins import Origin
from modelops.core.errors import BundleError

MAX_REDIRECTS = 5
MAX_ERROR_BYTES = 64 * 1024
"""As much of the body of an error as is read."""

_CHUNK = 64 * 1024
_MOVED, _SAME_METHOD = frozenset({301, 302, 303, 307, 308}), frozenset({307, 308})
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Request:
    """A request without credentials; a `body` may be iterated anew if it's sent again."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None


class Sender:
    """Sends requests, and follows redirects under rules of our own.

    Guarantees:
    - Nothing goes away from TLS, or in the clear over a network, unless that was asked for.
    - `authorization` goes to the registry's origin only; no cookies, and nothing from ~/.netrc.
    """

    def __init__(
        self, session: requests.Session, own: Origin, *, ca_file: str, insecure: bool
    ) -> None:
        """Make a sender; nothing is sent yet.

        Args:
            session: what sends; it gets no login of its own any more.
            own: the registry's origin.
            ca_file: PEM file of the CAs to trust, wherever it leads; empty for the system's.
            insecure: whether plain HTTP was asked for.
        """
        self._session = session
        # Otherwise ~/.netrc would take the place of the header that we send.
        session.auth = _nobody
        # Even if it isn't to follow redirects, requests reads the whole body of one to prepare for
        # it, and fails if the address makes no sense.
        session.get_redirect_target = _nowhere  # type: ignore[method-assign]  # no other way
        self.own = own
        self._ca_file = ca_file
        self.insecure = insecure

    def send(self, request: Request, authorization: str = "") -> requests.Response:
        """Send a request and return the answer, whose body isn't read yet.

        Raises:
            BundleError: if it leads to where it may not.
            requests.RequestException: if there is no answer.
        """
        url, source = request.url, self.own
        for _ in range(MAX_REDIRECTS + 1):
            target = self._checked(url, source)
            is_own = target == self.own
            answer = self._once(request, url, target, authorization if is_own else "")
            location = answer.headers.get("Location")
            if answer.status_code not in _MOVED or not location:
                return answer
            answer.close()
            if request.method not in _READING and answer.status_code not in _SAME_METHOD:
                raise BundleError(
                    f"The bundle registry {self.own} moved an upload elsewhere: "
                    f"{status_of(answer)}.",
                    hint="Name the address that it moved to as the registry.",
                )
            url, source = self._joined(url, location), target
        raise BundleError(f"The bundle registry {self.own} redirects without end.")

    def ask(self, request: Request, authorization: str = "") -> requests.Response:
        """Send a request that names where it goes to itself; a redirect is its answer.

        `authorization` is sent whatever the origin is; what comes back is a small body, unread.

        Raises:
            BundleError: if it may not go there.
            requests.RequestException: if there is no answer.
        """
        target = self._checked(request.url, self.own)
        return self._once(request, request.url, target, authorization)

    def is_own(self, response: requests.Response) -> bool:
        """Return whether an answer is that of the registry itself, not of where it led."""
        return Origin.of(response.url) == self.own

    def _joined(self, url: str, location: str) -> str:
        try:
            # Headers are read as Latin-1, and meant as UTF-8.
            return urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))
        except ValueError:
            raise self._unusable("it isn't a URL") from None

    def _checked(self, url: str, source: Origin) -> Origin:
        try:
            target = Origin.of(url)
        except ValueError as error:
            raise self._unusable(str(error)) from None
        if not source.may_lead_to(target, insecure=self.insecure):
            raise BundleError(
                f"The bundle registry {self.own} leads from {source} to {target}, which is plain "
                "HTTP.",
                hint="Nothing was sent there. If that is meant: MODELOPS_BUNDLE_INSECURE=true "
                "(and no CA).",
            )
        return target

    def _unusable(self, why: str) -> BundleError:
        return BundleError(
            f"The bundle registry {self.own} leads to an address that can't be used: {why}."
        )

    def _once(
        self, request: Request, url: str, target: Origin, authorization: str
    ) -> requests.Response:
        # Some servers would send a blob compressed once more: its digest is that of the plain one.
        headers = {**request.headers, "Accept-Encoding": "identity"}
        if authorization:
            headers["Authorization"] = authorization
        try:
            return self._session.request(
                request.method,
                url,
                headers=headers,
                data=request.body,
                stream=True,
                allow_redirects=False,
                # Of the session, REQUESTS_CA_BUNDLE would go before it.
                verify=self._ca_file or None,
            )
        except requests.RequestException as error:
            if target == self.own:
                raise
            # The URL is in its message, and may be signed: that is as good as a password.
            known = isinstance(error, (requests.ConnectionError, requests.Timeout))
            reason = reason_of(error) if known else "nothing can be sent there"
            raise type(error)(f"{target}: {reason}") from None


def load(response: requests.Response, limit: int) -> None:
    """Read an answer's body into memory, where `response.content` and `json()` find it.

    Raises:
        BundleError: if it's larger than `limit` bytes.
        requests.RequestException: if it breaks off.
    """
    received = bytearray()
    for chunk in response.iter_content(_CHUNK):
        received += chunk
        if len(received) > limit:
            raise BundleError(
                f"{Origin.of(response.url)} answered more than {limit} bytes to "
                f"{response.request.method}."
            )
    response._content = bytes(received)  # noqa: SLF001 - requests itself knows no limit


def error_text(response: requests.Response) -> str:
    """Return the beginning of the body of an error, which isn't read yet."""
    received = bytearray()
    try:
        for chunk in response.iter_content(_CHUNK):
            received += chunk
            if len(received) >= MAX_ERROR_BYTES:
                break
    except requests.RequestException:
        # What is said of an error isn't worth another one.
        return ""
    return received[:MAX_ERROR_BYTES].decode("utf-8", "replace")


def status_of(response: requests.Response) -> str:
    """Return the status in the words of RFC 9110: the server's own may be anything."""
    try:
        return f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
    except ValueError:
        return str(response.status_code)


def reason_of(error: BaseException) -> str:
    """Return the innermost reason: what urllib3 wraps around it helps nobody."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return reason_of(reason)
    inner = next((argument for argument in error.args if isinstance(argument, Exception)), None)
    return reason_of(inner) if inner is not None else str(error)


def _nowhere(resp: requests.Response) -> None:
    del resp


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
