"""Says who we are to one registry: Basic, or tokens (Docker's token specification and OAuth 2).

oras-py has one token for everything, doesn't know when it expires, sends a password to whatever
address it's told, and knows neither identity tokens nor helpers that hang. So only its session is
used.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from modelops.bundles.access import RegistryAccess
from modelops.bundles.azure_login import registry_name
from modelops.bundles.challenges import Challenge, parse_challenges
from modelops.bundles.credentials import Credentials
from modelops.bundles.logins import Logins
from modelops.bundles.redaction import Secrets
from modelops.bundles.sending import Sender, status_of
from modelops.bundles.token_server import TokenRefusedError, TokenServers, token_of
from modelops.core.errors import BundleError

CLIENT_ID = "modelops"
"""As what we are known to token servers that ask which program it is."""

_SECONDS = 60
"""How long a token lasts whose server doesn't say (Docker's token specification)."""
_USED_UP = 0.9
_REPOSITORY = re.compile(r"/v2/(?P<name>.+)/(?:manifests|blobs|tags|referrers)(?:/.*)?")


@dataclass(frozen=True)
class _Wanted:
    """What a token is for, as the registry put it."""

    realm: str
    service: str
    scope: str


@dataclass(frozen=True)
class _Token:
    header: str
    until: float


@dataclass(frozen=True)
class _Purpose:
    """What a request does, as far as it may need another token than the one before it."""

    place: str
    writes: bool
    source: str

    @classmethod
    def of(cls, method: str, url: str) -> "_Purpose":
        parts = urlsplit(url)
        found = _REPOSITORY.fullmatch(parts.path)
        source = parse_qs(parts.query).get("from", [""])[0]
        place = found["name"] if found else parts.path
        return cls(place, method not in ("GET", "HEAD"), source)


class Authentication:
    """Answers what one registry asks of whoever sends it requests; threads may share it."""

    def __init__(
        self,
        host: str,
        access: RegistryAccess,
        sender: Sender,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet: logins are looked for when the registry asks.

        Args:
            host: `host[:port]`.
            access: user and password file, where they are given.
            sender: what sends the requests for tokens.
            environ: the environment's variables.
            clock: seconds, for the tokens' ends.
        """
        self.secrets = Secrets()
        self._host = host
        self._access = access
        self._sender = sender
        self._environ = environ
        self._clock = clock
        self._servers = TokenServers(sender, self.secrets)
        self._lock = threading.RLock()
        self._wanted: dict[_Purpose, _Wanted] = {}
        self._tokens: dict[_Wanted, _Token] = {}
        self._basic = ""
        self._credentials: Credentials | None = None
        self._looked = False
        self._note = ""

    def header(self, method: str, url: str) -> str:
        """Return the header to send with a request before the registry asks; empty if unknown.

        A token that is about to expire is replaced by a new one.

        Raises:
            BundleError: if there is no new one.
            requests.RequestException: if its server can't be reached.
        """
        with self._lock:
            if self._basic:
                return self._basic
            wanted = self._wanted.get(_Purpose.of(method, url))
            return self._token(wanted, refused="") if wanted else ""

    def answer(self, method: str, url: str, response: requests.Response, refused: str) -> str:
        """Return the header with which to send a refused request again; empty if it's no use.

        Args:
            method: of the request.
            url: of the request.
            response: with which the registry refused it.
            refused: the header that was sent.

        Raises:
            BundleError: if a login can't be read, there is none, or it's refused.
            requests.RequestException: if a token's server can't be reached.
        """
        challenges = parse_challenges(response.headers.get("WWW-Authenticate", ""))
        with self._lock:
            for challenge in challenges:
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    wanted = _wanted(challenge)
                    purpose = _Purpose.of(method, url)
                    self._wanted[purpose] = wanted
                    # What can't be mounted is uploaded, and not sent in vain first.
                    self._wanted.setdefault(replace(purpose, source=""), wanted)
                    return self._token(wanted, refused)
            if any(challenge.scheme == "basic" for challenge in challenges):
                return self._password(refused)
        return ""

    def denied(self, response: requests.Response) -> BundleError:
        """Return the error of a request that was refused in the end."""
        what = "a login page" if is_html(response) else status_of(response)
        if not self._sender.is_own(response):
            # Where it led, nobody logs in: the address says it all, and may be out of date.
            return BundleError(
                f"What the bundle registry {self._host} led to answered {what}.",
                hint="Try again; if it stays so, ask who runs the registry.",
            )
        # Another thread may be looking for a login just now: as whom is known when it is done.
        with self._lock:
            whom = self._as_whom()
        return BundleError(
            f"Authentication failed: the bundle registry {self._host} answered {what}{whom}.",
            hint=self.login_hint(),
        )

    def login_hint(self) -> str:
        """Return how to log in there."""
        if self._access.username:
            return (
                f"User {self._access.username!r} and the password in {self._access.password_file} "
                "were refused. A registry of a stack gets both anew with: mops registry up"
            )
        name = registry_name(self._host)
        if name is not None:
            return f"Log in with: az login (or, for other tools too: az acr login --name {name})"
        return f"Log in with: docker login {self._host} (or: oras login {self._host})"

    def _as_whom(self) -> str:
        if self._credentials is not None:
            return f" to {self._credentials}"
        return f", and no login was found{self._note}" if self._looked else ""

    def _token(self, wanted: _Wanted, refused: str) -> str:
        """Return a token's header that isn't the refused one, from memory or from its server."""
        known = self._tokens.get(wanted)
        if known is None or known.header == refused or self._clock() >= known.until:
            if refused:
                self._forget_nobody()
            known = self._tokens[wanted] = self._with_login(
                lambda credentials: self._fetch(wanted, credentials)
            )
        return known.header

    def _with_login(self, fetch: Callable[[Credentials | None], _Token]) -> _Token:
        """Fetch a token; if the login that is remembered is refused, by a new one if there is one.

        A password was changed meanwhile, or what Azure or a helper gave is out of date.
        """
        remembered = self._looked
        try:
            return fetch(self._login())
        except TokenRefusedError as error:
            refusal = error
        if remembered and self._has_new_login():
            try:
                return fetch(self._login())
            except TokenRefusedError as error:
                refusal = error
        raise BundleError(
            f"Authentication failed: the bundle registry {self._host} wants a token. "
            f"{refusal.message}{self._as_whom()}.",
            hint=self.login_hint(),
        )

    def _has_new_login(self) -> bool:
        before, self._looked = self._credentials, False
        return self._login() != before

    def _fetch(self, wanted: _Wanted, credentials: Credentials | None) -> _Token:
        asked = self._clock()
        if credentials is not None and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": wanted.service,
                "client_id": CLIENT_ID,
                "scope": wanted.scope,
                "refresh_token": credentials.identity_token,
            }
            said = self._servers.post(wanted.realm, form)
        else:
            scopes = [("scope", scope) for scope in wanted.scope.split()]
            service = [("service", wanted.service)] if wanted.service else []
            basic = credentials.basic if credentials is not None else ""
            said = self._servers.get(wanted.realm, [*service, *scopes], basic)
        token = token_of(said, "token", "access_token")
        self.secrets.add(token)
        return _Token(f"Bearer {token}", asked + _USED_UP * _lasting(said))

    def _password(self, refused: str) -> str:
        """Return the header of Basic that isn't the refused one; empty if there is no other."""
        if self._basic and self._basic != refused:
            # Another thread found a new one meanwhile.
            return self._basic
        if refused and not self._has_new_login():
            return ""
        self._forget_nobody()
        credentials = self._login()
        if credentials is None:
            raise BundleError(
                f"The bundle registry {self._host} asks for a password{self._as_whom()}.",
                hint=self.login_hint(),
            )
        if not credentials.username:
            raise BundleError(
                f"The bundle registry {self._host} asks for a password, and {credentials} is none.",
                hint=self.login_hint(),
            )
        self._basic = credentials.basic
        return self._basic

    def _forget_nobody(self) -> None:
        """Look again if there was no login: somebody may have logged in meanwhile."""
        self._looked = self._looked and self._credentials is not None

    def _login(self) -> Credentials | None:
        if not self._looked:
            finder = Logins(self._host, self._access, self._environ)
            self._credentials = finder.find(self._servers, self.secrets)
            self._note = finder.note
            self._looked = True
            if self._credentials is not None:
                self.secrets.add(*self._credentials.secrets)
        return self._credentials


def is_html(response: requests.Response) -> bool:
    """Return whether an answer is a page for people, such as a login page."""
    return response.headers.get("Content-Type", "").lower().startswith("text/html")


def _wanted(challenge: Challenge) -> _Wanted:
    said = challenge.parameters
    return _Wanted(said["realm"], said.get("service", ""), _in_order(said.get("scope", "")))


def _in_order(scopes: str) -> str:
    """Return scopes with the actions of each sorted: the reference registry shuffles them."""
    parts = (scope.rpartition(":") for scope in scopes.split())
    return " ".join(f"{of}{colon}{','.join(sorted(how.split(',')))}" for of, colon, how in parts)


def _lasting(said: Mapping[str, Any]) -> float:
    seconds = said.get("expires_in")
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0:
        return float(seconds)
    return _SECONDS
