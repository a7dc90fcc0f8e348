"""Which files of a directory are the bundle: all that `.mopsignore` doesn't leave out."""

import operator
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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


class BundleFile(NamedTuple):
    """A file that belongs to a bundle, as it was when it was listed.

    Attributes:
        name: the path inside the bundle, with /.
        location: where it is now.
        size: in bytes.
        mode: that it has in every copy of the bundle, 0755 or 0644: whether its owner may execute
            it is all that is kept of a mode.
        identity: by what it's known again, see `identity_of`.
    """

    name: str
    location: str
    size: int
    mode: int
    identity: tuple[int, ...]

    @property
    def path(self) -> Path:
        """Where it is now."""
        return Path(self.location)

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it."""
        return self.mode == _EXECUTABLE


identity_of = operator.attrgetter(
    "st_dev", "st_ino", "st_size", "st_mode", "st_mtime_ns", "st_ctime_ns"
)
"""Returns of an `os.stat_result` what changes when the file does; last the times, in nanoseconds.

A tuple of numbers, which costs the garbage collector nothing: ten thousand `os.stat_result` would
have it go through all that the program holds.
"""

_EXECUTABLE, _PLAIN = 0o755, 0o644
_UNFIT = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
}
"""What an entry is called that isn't a regular file."""


def list_files(root: Path) -> list[BundleFile]:
    """Return the bundle's files, sorted by the bytes of their names; directories have no say.

    Raises:
        BundleFileError: if `root` is no directory, `.mopsignore` is wrong, or there are entries
            that can't be packed: symbolic links, sockets and other special files, names that
            aren't UTF-8. All of them are named.
    """
    if not root.is_dir():
        raise BundleFileError(f"{root} isn't a directory.")
    files: list[BundleFile] = []
    problems: list[str] = []
    for name, entry in _walk(str(root), _ignored(root)):
        status = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if not (name.isascii() or _is_utf8(name)):
            problems.append(f"{os.fsencode(name)!r}: its name isn't UTF-8")
        elif kind != stat.S_IFREG:
            problems.append(f"{name}: {_UNFIT.get(kind, 'a device')}")
        else:
            mode = _EXECUTABLE if status.st_mode & stat.S_IXUSR else _PLAIN
            identity = identity_of(status)
            files.append(BundleFile(name, entry.path, status.st_size, mode, identity))
    if problems:
        raise BundleFileError(
            "\n  ".join([f"{root} has entries that can't be packed:", *sorted(problems)]),
            hint=f"Put regular files in their place, or name them in {IGNORE_FILE}.",
        )
    return sorted(files, key=lambda file: file.name.encode())


def _ignored(root: Path) -> Callable[[str], bool]:
    """Return what says whether a path is left out; that of a directory ends with /."""
    path = root / IGNORE_FILE
    try:
        own = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rules = GitIgnoreSpec.from_lines([*DEFAULT_IGNORES, *own])
    except (OSError, ValueError, re.error) as error:
        raise BundleFileError(
            f"{path} can't be read: {error}", hint="It is written like a .gitignore."
        ) from error
    any_rule = _any_rule(rules)
    # Most files match no rule at all, and asking one expression costs a fiftieth of asking each.
    return lambda name: any_rule(name) is not None and rules.match_file(name)


def _any_rule(rules: GitIgnoreSpec) -> Callable[[str], re.Match[str] | None]:
    """Return what finds whether any of the rules, also one that takes in again, matches a path."""
    anywhere: list[str] = []
    elsewhere: list[str] = []
    for rule in rules.patterns:
        if rule.regex is not None:
            # No group needs a name here, and a name can't be there twice.
            expression = _NAMED_GROUP.sub("(?:", rule.regex.pattern)
            tail = expression.removeprefix(_ANYWHERE)
            (elsewhere if tail == expression else anywhere).append(tail)
    # What most rules begin with is looked for once: each by itself would try every directory.
    together = [f"{_ANYWHERE}(?:{'|'.join(anywhere)})"] if anywhere else []
    return re.compile("|".join([*together, *elsewhere])).search


_ANYWHERE = "^(?:.+/)?"
"""What the expression of a rule begins with that goes for every directory."""
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


def _walk(root: str, is_ignored: Callable[[str], bool]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what isn't ignored and is no directory; an ignored directory isn't looked into."""
    waiting = [(root, "")]
    while waiting:
        directory, prefix = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not is_ignored(f"{name}/"):
                        waiting.append((entry.path, f"{name}/"))
                elif not is_ignored(name):
                    yield name, entry


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
