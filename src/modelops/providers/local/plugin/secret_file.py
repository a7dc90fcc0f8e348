"""The SecretFile resource: a file that holds a secret, which only this user can read.

Inputs:
    path: where it is; folders that are missing are made with mode 0700.
    content: the text; a secret in the state, whether the program marked it or not.

Outputs:
    path; fingerprint: SHA-256 of the content, hexadecimal; exists: whether the file is there with
    that content and mode 0600.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from modelops.providers.local.plugin import private_files

INPUTS: tuple[str, ...] = ("path", "content")
OUTPUTS: tuple[str, ...] = ("fingerprint", "exists")
SECRETS: frozenset[str] = frozenset({"content"})


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    found = {name: "isn't a property of SecretFile" for name in inputs if name not in INPUTS}
    if not Path(str(inputs.get("path", ""))).is_absolute():
        found["path"] = "must be an absolute path"
    if not isinstance(inputs.get("content"), str):
        found["content"] = "must be a text"
    return found


def changes(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the properties by which the file must be written again; the file is looked at."""
    changed = ["path"] if state.get("path") != inputs.get("path") else []
    if state.get("fingerprint") != _fingerprint_of(inputs):
        changed.append("content")
    return changed if refreshed(state)["exists"] else [*changed, "exists"]


def foreseen(inputs: Mapping[str, Any], _old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint if the content is known."""
    fingerprint = _fingerprint_of(inputs)
    return {"exists": True} | ({} if fingerprint is None else {"fingerprint": fingerprint})


def secret_outputs(_inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return none: the content is no output."""
    return frozenset()


def make(
    _urn: str, _name: str, inputs: Mapping[str, Any], old: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the file and return the state; one at an earlier path is removed.

    Raises:
        ProviderError: if it can't be written.
    """
    private_files.write(Path(inputs["path"]), inputs["content"].encode())
    if old and old["path"] != inputs["path"]:
        remove(old)
    return refreshed({"path": inputs["path"], "fingerprint": _fingerprint_of(inputs)})


def refreshed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with `exists` as it is now."""
    path = Path(state["path"])
    content = private_files.read(path)
    whole = content is not None and sha256(content).hexdigest() == state["fingerprint"]
    return {**state, "exists": whole and private_files.is_private(path)}


def remove(state: Mapping[str, Any]) -> None:
    """Remove the file, and its folder if nothing else is in it."""
    private_files.remove(Path(state["path"]))


def _fingerprint_of(inputs: Mapping[str, Any]) -> str | None:
    content = inputs.get("content")
    return None if content is None else sha256(content.encode()).hexdigest()
