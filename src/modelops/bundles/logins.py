"""Where logins are looked for, and in which order."""

from collections.abc import Mapping

from modelops.bundles.access import RegistryAccess
from modelops.bundles.azure_login import cli_login, registry_name, workload_login
from modelops.bundles.credentials import Credentials
from modelops.bundles.docker_config import find_login, login_files
from modelops.bundles.redaction import Secrets
from modelops.bundles.token_server import TokenServers
from modelops.core.errors import BundleError


class Logins:
    """Looks for the login at one registry.

    Attributes:
        note: why a place gave none, for the error if the registry isn't open to everyone.
    """

    def __init__(self, host: str, access: RegistryAccess, environ: Mapping[str, str]) -> None:
        """Look at nothing yet.

        Args:
            host: `host[:port]`.
            access: user and password file, where they are given.
            environ: the environment's variables, which name files and identities.
        """
        self.note = ""
        self._host = host
        self._access = access
        self._environ = environ

    def find(self, servers: TokenServers, secrets: Secrets) -> Credentials | None:
        """Return the login of the first place that has one; None for nobody.

        The user and the password file that were given; the files of docker and podman, with the
        helpers that they name; at an ACR the workload's identity, then the Azure CLI's.

        Raises:
            BundleError: if a place that has one can't be read, or what it has is refused.
            TokenServerError: if a server that it takes can't be reached now.
        """
        self.note = ""
        if self._access.username or self._access.password_file:
            password = self._access.password()
            return Credentials(self._access.password_file, self._access.username, password)
        for path in login_files(self._environ):
            found = find_login(self._host, path)
            if found is not None:
                return found
        if registry_name(self._host) is None:
            return None
        return workload_login(self._host, self._environ, servers, secrets) or self._of_azure_cli()

    def _of_azure_cli(self) -> Credentials | None:
        try:
            return cli_login(self._host)
        except BundleError as error:
            # Many don't have it, and the registry may be open to everyone.
            self.note = f" ({error.message})"
            return None
