"""Where a request may go: origins (RFC 6454), and when plain HTTP is spoken."""

import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what a credential belongs to. Another port is another origin."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the origin of an absolute URL.

        Raises:
            ValueError: if it isn't one of HTTP, names no host or holds a user; the message doesn't
                repeat it, since a URL may be a secret.
        """
        try:
            parts = urlsplit(url)
            scheme, name = parts.scheme.lower(), (parts.hostname or "").lower()
            port = parts.port or _PORTS.get(scheme, 0)
        except ValueError:
            raise ValueError("it isn't a URL") from None
        if scheme not in _PORTS or not name:
            raise ValueError("it isn't an absolute URL of HTTP")
        if "@" in parts.netloc:
            raise ValueError("it holds a user or a password")
        return cls(scheme, name, port)

    @property
    def is_loopback(self) -> bool:
        """Whether it's on this machine."""
        return _is_loopback(self.host)

    def may_lead_to(self, other: Self, *, insecure: bool) -> bool:
        """Return whether what this origin says may be followed to the other one.

        To HTTPS always. To plain HTTP only if that was asked for, or from plain HTTP to loopback:
        never away from TLS, and never in the clear over a network.
        """
        if other.scheme == "https" or insecure:
            return True
        return self.scheme == "http" and (other.is_loopback or other == self)

    def __str__(self) -> str:
        """Return it as a URL, without the port that its scheme implies."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{name}{port}"


def is_loopback(host: str) -> bool:
    """Return whether `host[:port]` is on this machine."""
    bracketed = host.startswith("[")
    return _is_loopback(host[1 : host.index("]")] if bracketed else host.rpartition(":")[0] or host)


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
