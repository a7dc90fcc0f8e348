"""The Directory resource: a folder that holds data, and outlives `down`.

Input: path. Outputs: path, and exists.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelops.core.errors import ProviderError

INPUTS: tuple[str, ...] = ("path",)
OUTPUTS: tuple[str, ...] = ("exists",)
SECRETS: frozenset[str] = frozenset()


def problems(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the inputs: property → reason."""
    found = {name: "isn't a property of Directory" for name in inputs if name not in INPUTS}
    if not Path(str(inputs.get("path", ""))).is_absolute():
        found["path"] = "must be an absolute path"
    return found


def foreseen(_inputs: Mapping[str, Any], _old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known before it's made: that it will be there."""
    return {"exists": True}


def secret_outputs(_inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return none."""
    return frozenset()


def make(
    _urn: str, _name: str, inputs: Mapping[str, Any], _old: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the folder, or take the one that is there, and return its state.

    Raises:
        ProviderError: if it can't be made.
    """
    path = Path(inputs["path"])
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ProviderError(f"The folder {path} can't be made: {error.strerror}.") from error
    return refreshed({"path": str(path)})


def refreshed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with `exists` as it is now."""
    return {**state, "exists": Path(state["path"]).is_dir()}


def changes(state: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the properties by which the folder must be made again."""
    changed = [name for name in INPUTS if state.get(name) != inputs.get(name)]
    return changed if refreshed(state)["exists"] else [*changed, "exists"]


def remove(_state: Mapping[str, Any]) -> None:
    """Do nothing: the data outlive the resource."""
