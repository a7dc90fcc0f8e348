"""The logins that `docker login`, `oras login` and `podman login` wrote.

Formats: docker's config.json (`auths`, `credHelpers`, `credsStore`), containers-auth.json(5), which
is the same but for the names of its entries, and the protocol of docker-credential-helpers.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelops.bundles.credentials import Credentials
from modelops.bundles.programs import ProgramError, run_program
from modelops.core.errors import BundleError

HELPER_SECONDS = 30.0
"""How long a credential helper may take: it may have to ask somebody."""
MAX_CONFIG_BYTES = 4 * 1024 * 1024

_DOCKER_HUB = "https://index.docker.io/v1/"
_DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = b"credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 - by which a helper marks an identity token


def login_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the files in which logins may be, the first to look into first.

    The one that REGISTRY_AUTH_FILE names; docker's, in the folder DOCKER_CONFIG or ~/.docker; those
    of podman.
    """
    named, folder = environ.get("REGISTRY_AUTH_FILE"), environ.get("DOCKER_CONFIG")
    runtime, config = environ.get("XDG_RUNTIME_DIR"), environ.get("XDG_CONFIG_HOME")
    home = Path(environ.get("HOME") or Path.home())
    return [
        *([Path(named)] if named else []),
        (Path(folder) if folder else home / ".docker") / "config.json",
        *([Path(runtime) / "containers" / "auth.json"] if runtime else []),
        (Path(config) if config else home / ".config") / "containers" / "auth.json",
    ]


def find_login(host: str, path: Path, seconds: float = HELPER_SECONDS) -> Credentials | None:
    """Return the login of `host[:port]` in a file, or of the helper that it names; None without.

    The host's own helper goes before an entry of the file, and that before the helper of all hosts.

    Args:
        host: of the registry.
        path: the file; it needn't be there.
        seconds: how long a helper may take.

    Raises:
        BundleError: if the file isn't what docker writes, or the helper isn't there, fails, hangs
            or answers something else; it names which.
    """
    config = _read(path)
    auths, helpers = _section(config, "auths", path), _section(config, "credHelpers", path)
    helper = next((helpers[name] for name in helpers if _is_same(name, host)), None)
    if helper is not None:
        return _ask_helper(helper, _server_of(host), path, seconds)
    names = [name for name in auths if _is_same(name, host)]
    for name in names:
        entry = auths[name]
        found = _login_of(entry, name, path) if isinstance(entry, dict) else None
        if found is not None:
            return found
    store = config.get("credsStore")
    if not store:
        return None
    # Docker leaves an empty entry, under the name by which the helper knows the host.
    return _ask_helper(store, names[0] if names else _server_of(host), path, seconds)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unusable(path, f"it can't be read: {error.strerror}") from None
    if len(content) > MAX_CONFIG_BYTES:
        raise _unusable(path, f"it's larger than {MAX_CONFIG_BYTES} bytes")
    try:
        # An empty file is what some tools begin with.
        config = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        # What JSON's own error holds is the file, with its passwords.
        raise _unusable(path, "it isn't JSON") from None
    if not isinstance(config, dict):
        raise _unusable(path, "it isn't a JSON object")
    return config


def _section(config: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    section = config.get(name) or {}
    if not isinstance(section, dict):
        raise _unusable(path, f"{name} isn't a JSON object")
    return section


def _login_of(entry: Mapping[str, Any], name: str, path: Path) -> Credentials | None:
    texts = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise _unusable(path, f"{key} of {name} isn't text")
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        try:
            pair = base64.b64decode(texts["auth"], validate=True).decode()
        except (binascii.Error, ValueError):
            raise _unusable(path, f"auth of {name} isn't base64") from None
        username, colon, password = pair.partition(":")
        if not colon:
            raise _unusable(path, f"auth of {name} isn't user:password")
        # Docker once ended passwords so.
        password = password.strip("\x00")
    if texts["identitytoken"]:
        return Credentials(str(path), identity_token=texts["identitytoken"])
    return Credentials(str(path), username, password) if username else None


def _ask_helper(helper: object, server: str, path: Path, seconds: float) -> Credentials | None:
    if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper):
        raise _unusable(path, "the name of a credential helper isn't one")
    program = f"docker-credential-{helper}"
    try:
        finished = run_program([program, "get"], server.encode(), seconds)
    except ProgramError as error:
        raise _failed(program, server, path, str(error)) from None
    if finished.status != 0:
        if _NOT_FOUND in finished.output:
            return None
        raise _failed(program, server, path, f"it ended with status {finished.status}")
    try:
        answer = json.loads(finished.output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise _failed(program, server, path, "it answered something else than a login") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(program, server, path, "it answered something else than a login")
    if username == _TOKEN_USER:
        return Credentials(program, identity_token=secret) if secret else None
    return Credentials(program, username, secret) if username else None


def _server_of(host: str) -> str:
    return _DOCKER_HUB if host in _DOCKER_HUB_HOSTS else host


def _is_same(name: str, host: str) -> bool:
    return not set(_spellings(name)).isdisjoint(_spellings(host))


def _spellings(name: str) -> Iterator[str]:
    """Yield the host that an entry's name means: `https://host/v1/` is `host`."""
    host = re.sub(r"/(v[12])?/?$", "", re.sub(r"^https?://", "", name.lower()))
    yield "docker.io" if host in _DOCKER_HUB_HOSTS else host
    # Both are this machine.
    for one, other in (("localhost", "127.0.0.1"), ("127.0.0.1", "localhost")):
        if host == one or host.startswith(f"{one}:"):
            yield other + host.removeprefix(one)


def _unusable(path: Path, why: str) -> BundleError:
    return BundleError(
        f"The logins in {path} can't be used: {why}.",
        hint="Mend the file, or log in anew with: docker login HOST",
    )


def _failed(program: str, server: str, path: Path, why: str) -> BundleError:
    # What it wrote may be a password, so nobody repeats it.
    return BundleError(
        f"The credential helper {program} gives no login for {server}: {why}.",
        hint=f"{path} names it. See what it says with: echo {server} | {program} get",
    )
