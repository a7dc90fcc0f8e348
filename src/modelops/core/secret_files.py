"""Secrets that lie in files: what a process is told of them, and the one place that reads them.

A process that needs the secret X gets the variable X_FILE with the path of its file, so that the
value is in no environment, no argument and no state.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from modelops.contracts import BindingOutputs, SecretRef
from modelops.core.errors import SecretError

_SUFFIX = "_FILE"
STORED_VARIABLE = "MODELOPS_SECRETS_DIR"
"""The folder with the secrets of a process's environment (`mops secrets`), a file each."""


def file_variable(name: str) -> str:
    """Return the variable that holds the path of a secret's file."""
    return f"{name}{_SUFFIX}"


def variables(bindings: BindingOutputs) -> dict[str, str]:
    """Return bindings as the environment variables of a process on this machine.

    Raises:
        SecretError: if a secret isn't in a file.
    """
    paths = {file_variable(name): str(_path(name, ref)) for name, ref in bindings.secrets.items()}
    return {**bindings.env, **paths}


def read_secret(name: str, ref: SecretRef) -> str:
    """Return the value of the secret `name`, without blanks and line ends around it.

    Raises:
        SecretError: if it isn't there, can't be read, is empty, or isn't in a file.
    """
    path = _path(name, ref)
    try:
        value = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise SecretError(f"The file of {name}, {path}, isn't there.", hint=_hint(path)) from None
    except OSError as error:
        raise SecretError(
            f"The file of {name}, {path}, can't be read: {error.strerror}.", hint=_hint(path)
        ) from None
    except UnicodeDecodeError:
        # `from None`: the error holds what was read.
        raise SecretError(f"The file of {name}, {path}, isn't text.", hint=_hint(path)) from None
    if not value:
        raise SecretError(f"The file of {name}, {path}, is empty.", hint=_hint(path))
    return value


def secret_variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return the value of the secret that the variable NAME_FILE points to; None without one.

    Raises:
        SecretError: if the file isn't there, can't be read or is empty.
    """
    path = environ.get(file_variable(name))
    return read_secret(name, SecretRef("file", path)) if path else None


def stored_secrets(environ: Mapping[str, str], names: re.Pattern[str]) -> dict[str, str]:
    """Return those secrets of the environment whose whole names match, as they are now.

    Raises:
        SecretError: if one can't be read, is empty, or isn't text.
    """
    folder = environ.get(STORED_VARIABLE)
    if not folder:
        return {}
    return {
        path.name: read_secret(path.name, SecretRef("file", str(path)))
        for path in sorted(Path(folder).glob("*"))
        if names.fullmatch(path.name) and path.is_file()
    }


def _hint(path: Path) -> str:
    return (
        f"One that a stack made, it makes anew: mops up. One of yours: mops secrets set {path.name}"
    )


def _path(name: str, ref: SecretRef) -> Path:
    if ref.kind != "file":
        raise SecretError(
            f"{name} lies in the {ref.kind} secret {ref.name!r}, which can't be read from here yet."
        )
    return Path(ref.name)
