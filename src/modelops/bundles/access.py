"""How a bundle registry is reached, and as whom: its address, user, password file and CA."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modelops.contracts import BindingOutputs
from modelops.core.errors import BundleError
from modelops.core.secret_files import variables

REGISTRY_VARIABLE = "MODELOPS_BUNDLE_REGISTRY"
USERNAME_VARIABLE = "MODELOPS_BUNDLE_REGISTRY_USERNAME"
PASSWORD_VARIABLE = "MODELOPS_BUNDLE_REGISTRY_PASSWORD_FILE"  # noqa: S105 - the name of a variable
CA_VARIABLE = "MODELOPS_BUNDLE_REGISTRY_CA_FILE"


@dataclass(frozen=True)
class RegistryAccess:
    """The registry of an environment.

    Attributes:
        url: as `open_store` takes it.
        username: who we are there; empty to look for a login (`bundles.logins`), or be nobody.
        password_file: the file that holds the password; never the password itself.
        ca_file: PEM file of the CA that signed the registry's certificate; with one, TLS is spoken
            to loopback too. Empty for those that the system trusts.
    """

    url: str
    username: str = ""
    password_file: str = ""
    ca_file: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self | None:
        """Return what the variables MODELOPS_BUNDLE_REGISTRY… say; None without the first."""
        url = environ.get(REGISTRY_VARIABLE, "").strip()
        return cls(url).completed(environ) if url else None

    @classmethod
    def from_bindings(cls, bindings: BindingOutputs) -> Self:
        """Return the registry that a stack handed on."""
        found = cls.from_environment(variables(bindings))
        if found is None:
            raise BundleError("The registry's stack hands on no registry.")
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it's something else.
        """
        known = ("registry", "username", "password_file", "ca_file")
        if not isinstance(value.get("registry"), str) or not all(
            isinstance(value.get(name, ""), str) for name in known
        ):
            raise ValueError("it doesn't name a registry (registry: <url>)")
        return cls(*(value.get(name, "") for name in known))

    def to_environ(self) -> dict[str, str]:
        """Return the variables that `from_environment` reads, without those that are empty."""
        variables = {
            REGISTRY_VARIABLE: self.url,
            USERNAME_VARIABLE: self.username,
            PASSWORD_VARIABLE: self.password_file,
            CA_VARIABLE: self.ca_file,
        }
        return {name: value for name, value in variables.items() if value}

    def to_json(self) -> dict[str, str]:
        """Return the access as JSON, without what is empty."""
        written = {
            "registry": self.url,
            "username": self.username,
            "password_file": self.password_file,
            "ca_file": self.ca_file,
        }
        return {name: value for name, value in written.items() if value}

    def completed(self, environ: Mapping[str, str]) -> Self:
        """Return the access with what isn't given taken from the environment's variables."""
        return type(self)(
            self.url,
            self.username or environ.get(USERNAME_VARIABLE, ""),
            self.password_file or environ.get(PASSWORD_VARIABLE, ""),
            self.ca_file or environ.get(CA_VARIABLE, ""),
        )

    def password(self) -> str:
        """Return the password, from its file.

        Raises:
            BundleError: if the file can't be read, or there is no user or no file.
        """
        if not self.username or not self.password_file:
            missing = PASSWORD_VARIABLE if self.username else USERNAME_VARIABLE
            raise BundleError(
                f"The bundle registry {self.url} has only one of user and password.",
                hint=f"Set {missing} too.",
            )
        try:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it isn't text"
            raise BundleError(
                f"The password of the bundle registry {self.url} can't be read: "
                f"{self.password_file}: {reason}.",
                hint="A registry of a stack gets it anew with: mops registry up",
            ) from None
