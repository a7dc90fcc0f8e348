"""The URL of an object store: what opens it, and how messages call it."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import fsspec

from modelops.core.errors import ResultStoreError

_EXTRAS = {
    "s3": ("s3", "s3a"),
    "gcs": ("gs", "gcs"),
    "azure": ("az", "abfs", "abfss", "adl"),
}
_LOCAL = ("file", "local")
_HIDDEN = "[hidden]"
_SHORTEST = 4
"""Shorter ones aren't worth hiding: they are parts of ordinary words."""


def open_address(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, or of a path, and the path in it.

    Raises:
        ResultStoreError: if there is none for it, or its package isn't installed.
    """
    if not url:
        raise ResultStoreError(
            "There is no URL of an object store to keep results in.",
            hint="It is a folder, or a URL such as s3://bucket/folder.",
        )
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise _not_installed(url, error) from None
    except Exception as error:  # noqa: BLE001 — each cloud's package has errors of its own
        # Not chained: it may have the URL in it.
        raise ResultStoreError(
            f"The object store {shown(url)} can't be opened: {told(url, error)}."
        ) from None
    return filesystem, path


def shown(url: str) -> str:
    """Return a URL as messages may have it: without user, password and query."""
    before, separator, after = url.rpartition("://")
    if not separator:
        return url
    scheme = re.split(r"[^A-Za-z0-9+.-]", before)[-1]
    if scheme in _LOCAL:
        return f"{scheme}://{after}"
    # The last @: a password may hold one, or a slash, without being quoted.
    place = re.split(r"[?#]", after.rpartition("@")[2])[0]
    return f"{scheme}://{place}"


def told(url: str, error: Exception) -> str:
    """Return what an error says in one line, without what is secret of a URL."""
    said = error.strerror if isinstance(error, OSError) else None
    text = " ".join((said or str(error)).split()).rstrip(".!")
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = re.sub(r"\?[^\s'\")]+", "?…", text)
    if said:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _secrets(url: str) -> set[str]:
    _, _, after = url.partition("://")
    user = after.rpartition("@")[0]
    _, _, query = after.partition("?")
    parts = {user, *user.split(":"), query, *(value for _, value in parse_qsl(query))}
    spellings = {spell(part) for part in parts for spell in (str, quote, unquote)}
    spellings |= {quote(part, safe="") for part in parts}
    return {spelling for spelling in spellings if len(spelling) >= _SHORTEST}


def _not_installed(url: str, error: ImportError) -> ResultStoreError:
    scheme = shown(url).partition("://")[0]
    for extra, schemes in _EXTRAS.items():
        if scheme in schemes:
            return ResultStoreError(
                f"{shown(url)} needs a package that isn't installed.",
                hint=f'Install it with: pip install "modelops[{extra}]"',
            )
    return ResultStoreError(
        f"{shown(url)} needs a package that isn't installed: {told(url, error)}."
    )
