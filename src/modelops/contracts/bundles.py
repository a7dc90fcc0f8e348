"""References to bundles: a repository and the digest that pins its content."""

import re
from dataclasses import dataclass
from typing import Self

from modelops.contracts.errors import ContractError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Name components as in the OCI distribution spec 1.1, "Pulling manifests".
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
)
_FORMS = "repository@sha256:<64 hex digits> or oci://host/repository@sha256:<64 hex digits>"


@dataclass(frozen=True)
class BundleRef:
    """A bundle pinned by digest.

    Attributes:
        repository: the OCI repository, without a host.
        digest: `sha256:` and 64 lower-case hex digits, that of the bundle's OCI manifest.
        host: the registry's host and port, or None for the environment's own registry.

    Raises:
        ContractError: if a part isn't of that form.
    """

    repository: str
    digest: str
    host: str | None = None

    def __post_init__(self) -> None:
        check_repository(self.repository)
        check_digest(self.digest)
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise ContractError(f"{self.host!r} isn't a registry's host")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `repository@sha256:…`, `oci://host/repository@sha256:…` or the older
        `oci://host/repository:sha256:…`.

        Raises:
            ContractError: that shows the accepted forms.
        """
        host: str | None = None
        rest = text
        if text.startswith("oci://"):
            host, slash, rest = text.removeprefix("oci://").partition("/")
            if not slash:
                raise ContractError(f"{text!r} has no repository. Write {_FORMS}.")
        name, at, digest = rest.partition("@")
        if not at:
            name, colon, hexadecimal = rest.rpartition(":sha256:")
            digest = f"sha256:{hexadecimal}"
            if not colon:
                raise ContractError(f"{text!r} isn't pinned by a digest. Write {_FORMS}.")
        try:
            return cls(repository=name, digest=digest, host=host)
        except ContractError as error:
            raise ContractError(f"{text!r}: {error}. Write {_FORMS}.") from error

    def __str__(self) -> str:
        """Return the canonical form, which `parse` takes."""
        pinned = f"{self.repository}@{self.digest}"
        return pinned if self.host is None else f"oci://{self.host}/{pinned}"


def check_digest(text: str) -> None:
    """Raise ContractError unless `text` is exactly `sha256:` and 64 lower-case hex digits."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ContractError(f"{text!r} isn't sha256: and 64 lower-case hex digits")


def check_repository(text: str) -> None:
    """Raise ContractError unless `text` is a repository name of the OCI distribution spec."""
    if not isinstance(text, str) or len(text) > 255 or not _REPOSITORY.fullmatch(text):
        raise ContractError(
            f"{text!r} isn't a repository: lower-case letters and digits, separated by "
            "single . _ - or /"
        )
