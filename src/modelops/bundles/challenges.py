"""What a registry asks for when it refuses: the header WWW-Authenticate (RFC 9110, 11.6.1)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_HEADER_CHARACTERS = 16 * 1024

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of RFC 9110, nothing secret
_PARAMETER = re.compile(
    rf"""[\s,]*(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN}))"""
    r"\s*(?=,|$)"
)
_SCHEME = re.compile(
    rf"[\s,]*(?P<scheme>{_TOKEN})(?=\s|,|$)"
    # What other schemes have in place of parameters (token68).
    r"(?:[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$))?"
)


@dataclass(frozen=True)
class Challenge:
    """One way to say who we are: its scheme in lower case, and parameters by name in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> list[Challenge]:
    """Return the challenges of a header, in its order, up to what can't be understood.

    A header may hold several challenges, and several headers of a message arrive as one.
    """
    return list(_challenges(header[:MAX_HEADER_CHARACTERS]))


def _challenges(header: str) -> Iterator[Challenge]:
    position = 0
    while found := _SCHEME.match(header, position):
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            quoted, plain = parameter["quoted"], parameter["plain"]
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(parameter["name"].lower(), value)
        yield Challenge(found["scheme"].lower(), parameters)
