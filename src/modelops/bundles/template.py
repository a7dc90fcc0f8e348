"""A runnable bundle to start from: an epidemic, its data, and a target to fit it to."""

import json
import re
from importlib import resources
from pathlib import Path

from modelops.bundles.discovery import discover
from modelops.bundles.files import write_atomically
from modelops.bundles.manifest import MANIFEST_FILE
from modelops.bundles.registry_file import REGISTRY_FILE, write_registry
from modelops.bundles.tree import IGNORE_FILE
from modelops.contracts import ContractError
from modelops.contracts.bundles import check_repository
from modelops.core.errors import BundleError, UsageError

STARTER_PARAMETERS = {"beta": (0.1, 1.0), "gamma": (0.05, 0.5)}
"""The parameters of the starter's model, each with a range in which to look for it."""

# Where each file of the starter goes. Package data has no dot files, which build tools pass over.
_FILES = {
    "model.py": "model.py",
    "targets.py": "targets.py",
    "cases.csv": "data/cases.csv",
    "mopsignore": IGNORE_FILE,
}


def create_bundle(directory: Path, name: str | None = None) -> list[Path]:
    """Write a starter bundle into a directory, which is made if it doesn't exist.

    Args:
        directory: may hold other files already.
        name: the bundle's name; without one it is made from the directory's.

    Returns:
        The files that were written.

    Raises:
        BundleError: if one of the files is there already; nothing is written then.
        UsageError: if the name can't be a bundle's.
    """
    chosen = _name_from(directory) if name is None else name
    try:
        check_repository(chosen)
    except ContractError as error:
        raise UsageError(str(error), hint="Name the bundle with --name.") from error
    if "/" in chosen:
        raise UsageError(f"{chosen!r} has a /.", hint="A registry's prefix goes into the spec.")
    names = [MANIFEST_FILE, *_FILES.values(), REGISTRY_FILE]
    there = [item for item in names if (directory / item).exists()]
    if there:
        raise BundleError(
            f"{directory} has {', '.join(there)} already.",
            hint="Choose another directory, or move these files away.",
        )
    manifest = {"name": chosen, "version": "0.1.0", "entrypoint": "model:simulate"}
    _write(directory / MANIFEST_FILE, (json.dumps(manifest, indent=2) + "\n").encode())
    starter = resources.files("modelops.bundles") / "starter"
    for source, target in _FILES.items():
        _write(directory / target, (starter / source).read_bytes())
    write_registry(directory, discover(directory))
    return [directory / item for item in names]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def _name_from(directory: Path) -> str:
    words = re.findall(r"[a-z0-9]+", directory.absolute().name.lower())
    return "-".join(words) or "my-bundle"
