"""Which files of a directory are the bundle: all that `.mopsignore` doesn't leave out."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from modelops.core.errors import BundleFileError

IGNORE_FILE = ".mopsignore"

DEFAULT_IGNORES = (
    "__pycache__",
    "*.py[cod]",
    ".git",
    ".hg",
    ".venv",
    "venv",
    ".tox",
    "node_modules",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".DS_Store",
    # Files of this name hold passwords and tokens, and a bundle goes to many machines.
    ".env",
    ".modelops-bundle/*",
    "!.modelops-bundle/registry.yaml",
)
"""What is left out unless `.mopsignore` takes it in again with `!`."""


@dataclass(frozen=True)
class BundleFile:
    """A file that belongs to a bundle.

    Attributes:
        name: the path inside the bundle, with /.
        path: where it is now.
        size: in bytes.
        executable: whether its owner may execute it; no other part of the mode is kept.
    """

    name: str
    path: Path
    size: int
    executable: bool

    @property
    def mode(self) -> int:
        """The mode that it has in every copy of the bundle."""
        return 0o755 if self.executable else 0o644


def list_files(root: Path) -> list[BundleFile]:
    """Return the bundle's files, sorted by the bytes of their names; directories have no say.

    Raises:
        BundleFileError: if `root` is no directory, `.mopsignore` is wrong, or there are entries
            that can't be packed: symbolic links, sockets and other special files, names that
            aren't UTF-8. All of them are named.
    """
    if not root.is_dir():
        raise BundleFileError(f"{root} isn't a directory.")
    ignored = _ignored(root)
    files: list[BundleFile] = []
    problems: list[str] = []
    for name, entry in _walk(root, "", ignored):
        status = entry.stat(follow_symlinks=False)
        kind = _kind(status.st_mode)
        if not _is_utf8(name):
            problems.append(f"{os.fsencode(name)!r}: its name isn't UTF-8")
        elif kind:
            problems.append(f"{name}: {kind}")
        else:
            executable = bool(status.st_mode & stat.S_IXUSR)
            files.append(BundleFile(name, Path(entry.path), status.st_size, executable))
    if problems:
        raise BundleFileError(
            "\n  ".join([f"{root} has entries that can't be packed:", *sorted(problems)]),
            hint=f"Put regular files in their place, or name them in {IGNORE_FILE}.",
        )
    return sorted(files, key=lambda file: file.name.encode())


def _ignored(root: Path) -> GitIgnoreSpec:
    path = root / IGNORE_FILE
    try:
        own = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return GitIgnoreSpec.from_lines([*DEFAULT_IGNORES, *own])
    except (OSError, ValueError) as error:
        raise BundleFileError(
            f"{path} can't be read: {error}", hint="It is written like a .gitignore."
        ) from error


def _walk(
    directory: Path, prefix: str, ignored: GitIgnoreSpec
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what isn't ignored and is no directory; an ignored directory isn't looked into."""
    with os.scandir(directory) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if not ignored.match_file(f"{name}/"):
                    yield from _walk(Path(entry.path), f"{name}/", ignored)
            elif not ignored.match_file(name):
                yield name, entry


def _kind(mode: int) -> str:
    """Return what makes an entry unfit for a bundle; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISSOCK(mode):
        return "a socket"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a device"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
