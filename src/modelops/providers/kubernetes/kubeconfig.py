"""Which kubeconfig says how the cluster is reached, and what is wrong with it, in words."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from modelops.core.errors import ProviderError
from modelops.core.near_miss import did_you_mean_or_all

_VARIABLE = "KUBECONFIG"
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def kubeconfig_path(given: str | None) -> str | None:
    """Return the absolute path of the kubeconfig that the spec names; None if it names none."""
    return None if given is None else str(Path(given).expanduser().absolute())


def check_kubeconfig(given: str | None, context: str | None) -> None:
    """Check that there is a kubeconfig and that it has the context; the cluster isn't asked.

    Args:
        given: the file that the spec names; None to look where kubectl looks.
        context: the context that the spec names; None for the current one.

    Raises:
        ProviderError: if it can't be read, isn't one, or lacks the context.
    """
    paths = list(_paths(given))
    found = [path for path in paths if path.is_file()]
    if not found:
        if given is None and _IN_CLUSTER.exists():
            return
        raise ProviderError(
            f"There is no kubeconfig {', '.join(map(str, paths))}.",
            hint="Name the cluster's with spec.provider.kubeconfig or the variable KUBECONFIG.",
        )
    contexts: dict[str, Any] = {}
    current = ""
    for path in found:
        document = _document(path)
        # As with kubectl, the first file that says a thing is right.
        current = current or str(document.get("current-context") or "")
        for entry in document.get("contexts") or ():
            contexts.setdefault(str(entry.get("name")), entry)
    where = ", ".join(map(str, found))
    if context is None and not current:
        raise ProviderError(
            f"{where} has no current context.",
            hint="Choose one with spec.provider.context: " + ", ".join(contexts),
        )
    wanted = context or current
    if wanted not in contexts:
        raise ProviderError(
            f"{where} has no context {wanted!r}.", hint=did_you_mean_or_all(wanted, contexts)
        )


def server_of(given: str | None, context: str | None) -> str:
    """Return the address of the API server, as the kubeconfig names it; empty if it names none.

    Args:
        given: the file that the spec names; None to look where kubectl looks.
        context: the context that the spec names; None for the current one.
    """
    documents = [_document(path) for path in _paths(given) if path.is_file()]
    current = next((found for each in documents if (found := each.get("current-context"))), "")
    cluster = _named(documents, "contexts", context or current).get("context", {}).get("cluster")
    found = _named(documents, "clusters", cluster).get("cluster", {}).get("server")
    return str(found or "")


def _named(documents: list[Mapping[str, Any]], kind: str, name: Any) -> Mapping[str, Any]:
    entries = (entry for each in documents for entry in each.get(kind) or ())
    return next((entry for entry in entries if entry.get("name") == name), {})


def _paths(given: str | None) -> Iterator[Path]:
    path = kubeconfig_path(given)
    if path is not None:
        yield Path(path)
        return
    named = [name for name in os.environ.get(_VARIABLE, "").split(os.pathsep) if name]
    yield from map(Path, named or [str(Path.home() / ".kube" / "config")])


def _document(path: Path) -> Mapping[str, Any]:
    hint = "It is the file that `kubectl config view` shows."
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProviderError(f"The kubeconfig {path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError):
        # `from None`: the error may show a line with a key.
        raise ProviderError(f"The kubeconfig {path} isn't YAML.", hint=hint) from None
    if not isinstance(document, Mapping):
        raise ProviderError(f"{path} isn't a kubeconfig.", hint=hint)
    return document
