"""Logins at an Azure container registry (ACR), where nobody logged in there with docker.

Either the identity of a workload (`AZURE_FEDERATED_TOKEN_FILE` and its like, as AKS sets them), or
whoever is logged in with the Azure CLI. Both give a refresh token of the registry.

Formats: "Azure Container Registry integration with Azure Active Directory" (Azure/acr,
docs/AAD-OAuth.md); the Microsoft identity platform's client credentials flow with a federated
credential; the output of `az acr login --expose-token`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from modelops.bundles.credentials import Credentials
from modelops.bundles.programs import ProgramError, run_program
from modelops.bundles.redaction import Secrets
from modelops.bundles.token_server import TokenRefusedError, TokenServers, token_of
from modelops.core.errors import BundleError

AZ_SECONDS = 60.0
"""How long the Azure CLI may take: it starts slowly, and asks two servers."""

CLIENT, TENANT = "AZURE_CLIENT_ID", "AZURE_TENANT_ID"
TOKEN_FILE, AUTHORITY = "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MAX_TOKEN_BYTES = 64 * 1024
# Of each cloud: who knows its identities, and as what its registries are known there.
_CLOUDS = {
    "io": ("https://login.microsoftonline.com", "https://containerregistry.azure.net"),
    "cn": ("https://login.chinacloudapi.cn", "https://containerregistry.azure.cn"),
    "us": ("https://login.microsoftonline.us", "https://containerregistry.azure.us"),
}
_HOST = re.compile(
    r"(?P<name>[a-z0-9]+)(?:-[a-z0-9-]+)?\.azurecr\.(?P<cloud>io|cn|us)(?::\d+)?", re.IGNORECASE
)


def registry_name(host: str) -> str | None:
    """Return the name of the ACR at `host[:port]`; None if it isn't one."""
    found = _HOST.fullmatch(host)
    return found["name"].lower() if found else None


def workload_login(
    host: str, environ: Mapping[str, str], servers: TokenServers, secrets: Secrets
) -> Credentials | None:
    """Return the login of the workload that we are; None if the environment doesn't say which.

    Args:
        host: `host[:port]` of an ACR.
        environ: the environment's variables.
        servers: what asks for tokens.
        secrets: gets to know every token on the way.

    Raises:
        BundleError: if a part of the identity isn't there, or a server refuses it.
        TokenServerError: if a server can't be reached now.
    """
    client, tenant, file = (environ.get(name, "") for name in (CLIENT, TENANT, TOKEN_FILE))
    if not (client and tenant and file):
        return None
    found = _HOST.fullmatch(host)
    authority, audience = _CLOUDS[found["cloud"].lower() if found else "io"]
    assertion = _federated_token(Path(file))
    secrets.add(assertion)
    try:
        base = (environ.get(AUTHORITY) or authority).rstrip("/")
        known = servers.post(
            f"{base}/{quote(tenant, safe='')}/oauth2/v2.0/token",
            {
                "grant_type": "client_credentials",
                "client_id": client,
                "scope": f"{audience}/.default",
                "client_assertion_type": _ASSERTION,
                "client_assertion": assertion,
            },
        )
        access = token_of(known, "access_token")
        secrets.add(access)
        exchanged = servers.post(
            f"{servers.registry}/oauth2/exchange",
            {
                "grant_type": "access_token",
                "service": host.partition(":")[0],
                "tenant": tenant,
                "access_token": access,
            },
        )
        refresh = token_of(exchanged, "refresh_token")
    except TokenRefusedError as error:
        raise BundleError(
            f"The workload identity {client} gets no token for {host}. {error.message}.",
            hint=f"Check {CLIENT}, {TENANT} and {TOKEN_FILE}, and that it may pull (AcrPull).",
        ) from None
    return Credentials(f"the workload identity {client}", identity_token=refresh)


def cli_login(host: str, seconds: float = AZ_SECONDS) -> Credentials:
    """Return the login of whoever is logged in with the Azure CLI.

    Raises:
        BundleError: if `az` isn't there, or gives no token for the registry; it says why.
    """
    command = ["az", "acr", "login", "--name", registry_name(host) or host, "--expose-token"]
    try:
        finished = run_program([*command, "--output", "json"], b"", seconds)
    except ProgramError as error:
        raise _no_token(command, str(error)) from None
    if finished.status != 0:
        raise _no_token(command, _error_of(finished.errors) or f"status {finished.status}")
    try:
        answer = json.loads(finished.output)
        # Old versions call the refresh token an access token, new ones say both.
        token = token_of(answer, "refreshToken", "accessToken")
    except (ValueError, RecursionError, AttributeError, BundleError):
        raise _no_token(command, "it answered something else than a token") from None
    return Credentials("az acr login", identity_token=token)


def _federated_token(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            token = file.read(_MAX_TOKEN_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't a token"
        raise BundleError(
            f"The workload's token can't be read: {path}: {reason}.", hint=f"See {TOKEN_FILE}."
        ) from None
    if not token:
        raise BundleError(f"The workload's token is empty: {path}.", hint=f"See {TOKEN_FILE}.")
    return token


def _error_of(errors: bytes) -> str:
    """Return what az says is wrong: its standard error has progress and advice too."""
    lines = errors.decode("utf-8", "replace").splitlines()
    return next((line.removeprefix("ERROR: ")[:300] for line in lines if "ERROR: " in line), "")


def _no_token(command: list[str], why: str) -> BundleError:
    return BundleError(f"`{' '.join(command)}` gave no token: {why}", hint="Log in with: az login")
