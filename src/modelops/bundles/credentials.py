"""Who we are at a registry: a user with a password, or a token that stands for one."""

from base64 import b64encode
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """What a registry, or its token server, is shown. No secret is in its `repr`.

    Attributes:
        source: where they were found, for messages.
        username: of a user with a password; empty for an identity token.
        password: of that user.
        identity_token: an OAuth 2 refresh token, which the token server takes instead.
    """

    source: str
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The header of Basic authentication (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {b64encode(pair).decode()}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be in no message."""
        encoded = self.basic.removeprefix("Basic ") if self.username else ""
        return (self.password, self.identity_token, encoded)

    def __str__(self) -> str:
        """Say whose they are and where they were found."""
        who = f"user {self.username!r}" if self.username else "the token"
        return f"{who} of {self.source}"
