"""A copy of a bundle that is as the bundle was, whatever a model did in it."""

import compileall
import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

from modelops.bundles.tree import BundleFile

_BYTECODE = "__pycache__"


class BundleCopy:
    """The files that a bundle packs, in a directory where models may run.

    Two copies with other `is_backwards` were made in opposite orders, which some file systems show
    when a directory is listed.
    """

    def __init__(
        self, files: Sequence[BundleFile], directory: Path, *, is_backwards: bool = False
    ) -> None:
        self.directory = directory
        self._files = list(reversed(files)) if is_backwards else list(files)
        self._known: dict[str, tuple[int, ...]] = {}

    def restore(self, *, is_compiled: bool = True) -> None:
        """Make the directory hold the bundle's files, their bytecode if asked for, nothing else."""
        if not self._known or self.touched():
            if self.directory.exists():
                shutil.rmtree(self.directory)
            self.directory.mkdir(parents=True)
            for file in self._files:
                target = self.directory / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.path, target)
                target.chmod(file.mode)
            self._known = self._look()
        if is_compiled:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # A file that isn't Python fails where it's imported, if it is.
                compileall.compile_dir(self.directory, quiet=2)
        else:
            for folder in list(self.directory.rglob(_BYTECODE)):
                shutil.rmtree(folder)

    def touched(self) -> list[str]:
        """Return the files that were written, changed or removed since, sorted.

        Python's bytecode has no say in it.
        """
        now = self._look()
        return sorted(
            name for name in now.keys() | self._known if now.get(name) != self._known.get(name)
        )

    def _look(self) -> dict[str, tuple[int, ...]]:
        found = {}
        for folder, folders, names in os.walk(self.directory):
            folders[:] = [name for name in folders if name != _BYTECODE]
            for name in (*folders, *names):
                path = Path(folder, name)
                status = path.lstat()
                # A folder's size and time change with what is in it, which is seen by itself.
                facts = () if name in folders else (status.st_size, status.st_mtime_ns)
                found[path.relative_to(self.directory).as_posix()] = (status.st_mode, *facts)
        return found
