"""Who is meant by a kubeconfig: the server, its certificate authority, and our credentials."""

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class KubeconfigError(Exception):
    """A kubeconfig that names no server that could be asked."""


@dataclass(frozen=True)
class Cluster:
    """A server and what it takes to talk to it.

    Attributes:
        server: its URL.
        namespace: the context's namespace, or `default`.
        token: a bearer token; empty if there is none.
        authority: the certificate authority's PEM; empty for the system's authorities.
        certificate: our PEM certificate; empty if there is none.
        key: the PEM key of the certificate.
        is_checked: whether the server's certificate is.
        server_name: the name that the server's certificate must have; empty for its host.
        entry: the cluster as the kubeconfig describes it.
    """

    server: str
    namespace: str
    token: str = field(default="", repr=False)
    authority: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    is_checked: bool = True
    server_name: str = ""
    entry: dict[str, Any] = field(default_factory=dict, repr=False)

    def tls(self) -> ssl.SSLContext:
        """Return the context of connections to the server."""
        context = ssl.create_default_context(cadata=self.authority or None)
        if not self.is_checked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            # The library takes these from files only.
            with tempfile.TemporaryDirectory() as folder:
                certificate, key = Path(folder, "certificate"), Path(folder, "key")
                certificate.write_text(self.certificate)
                key.write_text(self.key)
                context.load_cert_chain(certificate, key)
        return context


def read_cluster(given: str, context: str = "", cluster: str = "") -> Cluster:
    """Return the cluster that a kubeconfig's current context means.

    Args:
        given: a kubeconfig, or a path to one; empty for KUBECONFIG, else `~/.kube/config`.
        context: a context to take in place of the current one.
        cluster: a cluster to take in place of the context's.

    Raises:
        KubeconfigError: if there is none, or it can't be used.
    """
    document, folder = _load(given)
    entry = _context(document, context)
    found = _named(document, "cluster", cluster or entry.get("cluster", ""))
    user = _named(document, "user", entry["user"]) if entry.get("user") else {}
    if unsupported := user.keys() & {"exec", "auth-provider", "username"}:
        raise KubeconfigError(f"the stand-in can't log in by {', '.join(sorted(unsupported))}")
    token = user.get("token", "")
    if not token and "tokenFile" in user:
        token = (folder / user["tokenFile"]).read_text().strip()
    return Cluster(
        server=str(found.get("server", "")).rstrip("/"),
        namespace=entry.get("namespace") or "default",
        token=token,
        authority=_pem(found, "certificate-authority", folder),
        certificate=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
        is_checked=not found.get("insecure-skip-tls-verify", False),
        server_name=found.get("tls-server-name", ""),
        entry=found,
    )


def _load(given: str) -> tuple[dict[str, Any], Path]:
    if not given:
        given = os.environ.get("KUBECONFIG", "") or "~/.kube/config"
        if not Path(given).expanduser().is_file():
            raise KubeconfigError(
                "invalid configuration: no configuration has been provided, try setting "
                "KUBERNETES_MASTER environment variable"
            )
    text, folder = given, Path()
    if "\n" not in given and (path := Path(given).expanduser()).is_file():
        text, folder = path.read_text(), path.parent
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"couldn't parse the kubeconfig: {error}") from None
    if not isinstance(document, dict):
        raise KubeconfigError("couldn't parse the kubeconfig: it isn't a mapping")
    return document, folder


def _context(document: dict[str, Any], given: str) -> dict[str, Any]:
    name = given or document.get("current-context", "")
    if not name:
        raise KubeconfigError("invalid configuration: the kubeconfig has no current context")
    try:
        return _named(document, "context", name)
    except KubeconfigError:
        raise KubeconfigError(f'context "{name}" does not exist') from None


def _named(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in document.get(kind + "s") or ():
        if entry.get("name") == name:
            return entry.get(kind) or {}
    raise KubeconfigError(f'{kind} "{name}" does not exist')


def _pem(entry: dict[str, Any], name: str, folder: Path) -> str:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    path = entry.get(name)
    return (folder / path).read_text() if path else ""
