"""An environment that was made: where it is, and the hash of what is in it."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelops.environments.base import Installed

RECORD_FILE = "entry.json"


@dataclass(frozen=True)
class BundleEnvironment:
    """How to start a process that has what a bundle asks for.

    Attributes:
        interpreter: the program to start.
        paths: directories that come right after the bundle on `sys.path`.
        digest: 64 hex digits, the hash of interpreter, base and what was installed (names,
            versions and contents). It is the same on two machines that have the same.
    """

    interpreter: str
    paths: tuple[str, ...]
    digest: str


def environment_digest(
    interpreter: Sequence[str], base: Iterable[Installed], added: Iterable[Installed] = ()
) -> str:
    """Return the hash of an environment.

    Args:
        interpreter: what identifies it, without its place.
        base: the worker's distributions that can be imported; name and version count.
        added: what was installed for the bundle; the content counts, too.
    """
    facts = {
        "interpreter": list(interpreter),
        "base": sorted(map(str, base)),
        "added": sorted([str(one), _content(one)] for one in added),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_record(folder: Path, environment: BundleEnvironment) -> None:
    """Write down in `folder` what was made there, with paths that outlast a rename."""
    content = {
        "interpreter": _relative(environment.interpreter, folder),
        "paths": [_relative(path, folder) for path in environment.paths],
        "digest": environment.digest,
    }
    (folder / RECORD_FILE).write_text(json.dumps(content))


def read_record(folder: Path) -> BundleEnvironment | None:
    """Return the environment in `folder`; None if there is none, or if parts of it are gone."""
    try:
        content = json.loads((folder / RECORD_FILE).read_text())
        interpreter = os.path.join(folder, content["interpreter"])  # noqa: PTH118 - its links stay
        paths = tuple(str(folder / path) for path in content["paths"])
        environment = BundleEnvironment(interpreter, paths, str(content["digest"]))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    return environment if is_there(environment) else None


def is_there(environment: BundleEnvironment) -> bool:
    """Whether an environment's directories and its interpreter are where they were."""
    return os.access(environment.interpreter, os.X_OK) and all(
        os.path.isdir(path)  # noqa: PTH112 - asked for each task
        for path in environment.paths
    )


def _relative(path: str, folder: Path) -> str:
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path


def _content(installed: Installed) -> str:
    """Return the hash of a distribution's files.

    Left out is what depends on the place: scripts, which name the interpreter, and what the
    installer notes about itself.
    """
    lines = sorted(
        f"{file.as_posix()} {file.hash.mode}={file.hash.value}"
        for file in installed.distribution.files or ()
        if file.hash and not _is_of_the_place(file.parts[0])
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_of_the_place(top: str) -> bool:
    return top in ("..", "bin") or top.endswith(".dist-info")
