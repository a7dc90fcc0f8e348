"""Asks servers that hand out tokens: small JSON documents, or an error that says what they said."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import requests

from modelops.bundles.origins import Origin
from modelops.bundles.redaction import Secrets
from modelops.bundles.sending import Request, Sender, error_text, load, reason_of, status_of
from modelops.core.errors import BundleError

MAX_ANSWER_BYTES = 128 * 1024
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_SHOWN = 300


class TokenRefusedError(BundleError):
    """A server gives no token for what it was shown."""


class TokenServerError(requests.ConnectionError):
    """A server that gives tokens can't be reached, or is busy: it may be otherwise soon."""


class TokenServers:
    """Asks whichever servers the registry, or the cloud that it's in, names."""

    def __init__(self, sender: Sender, secrets: Secrets) -> None:
        """Ask by a sender; what `secrets` knows is in no error."""
        self.registry = sender.own
        self._sender = sender
        self._secrets = secrets

    def get(
        self, url: str, query: list[tuple[str, str]], authorization: str = ""
    ) -> Mapping[str, Any]:
        """Return what a server answers to a GET; see `_ask`."""
        parts = urlsplit(url)
        joined = "&".join(part for part in (parts.query, urlencode(query)) if part)
        return self._ask(Request("GET", urlunsplit(parts._replace(query=joined))), authorization)

    def post(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what a server answers to a form; see `_ask`."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask(Request("POST", url, kind, urlencode(form).encode()))

    def _ask(self, request: Request, authorization: str = "") -> Mapping[str, Any]:
        """Send a request and return the JSON object of the answer.

        Raises:
            TokenRefusedError: if the answer is something else.
            TokenServerError: if there is none now.
            BundleError: if the server may not be asked.
        """
        try:
            with self._sender.ask(request, authorization) as response:
                return self._read(response)
        except (TokenServerError, requests.exceptions.SSLError):
            raise
        except (requests.ConnectionError, requests.Timeout) as error:
            server = Origin.of(request.url)
            raise TokenServerError(f"its token server {server}: {reason_of(error)}") from None

    def _read(self, response: requests.Response) -> Mapping[str, Any]:
        server, status = Origin.of(response.url), response.status_code
        if status in _PASSING_STATUS:
            raise TokenServerError(f"its token server {server} answered {status_of(response)}")
        if status != requests.codes.ok:
            said = self._secrets.hide(_reason_given(error_text(response)))[:_SHOWN]
            raise TokenRefusedError(
                f"The token server {server} answered {status_of(response)}"
                f"{f': {said}' if said else ''}"
            )
        load(response, MAX_ANSWER_BYTES)
        try:
            answer = json.loads(response.content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise TokenRefusedError(f"The token server {server} answered a page, and no token.")
        return answer


def token_of(answer: Mapping[str, Any], *names: str) -> str:
    """Return the token that an answer has under the first of the names that is there.

    Raises:
        TokenRefusedError: if there is none that can be sent.
    """
    for name in names:
        token = answer.get(name)
        if isinstance(token, str) and token:
            # It becomes part of a header, and an error of that would repeat it.
            if not token.isascii() or not token.isprintable() or " " in token:
                break
            return token
    raise TokenRefusedError(f"A token server answered without a usable {' or '.join(names)}.")


def _reason_given(body: str) -> str:
    """Return what a server says is wrong, in OAuth's form (RFC 6749, 5.2) or the registry's."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else answer
    if not isinstance(first, dict):
        return ""
    names = ("code", "error", "message", "error_description", "details")
    return ": ".join(said for name in names if isinstance(said := first.get(name), str))
