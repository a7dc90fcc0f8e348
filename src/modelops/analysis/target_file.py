"""Targets that aren't in a run's bundle: a Python module with functions marked `@target`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modelops.analysis.run_code import RunCode
from modelops.bundles.discovery import discover_file
from modelops.core.errors import BundleFileError, UsageError
from modelops.worker.bundle_evaluator import BundleEvaluator


@dataclass(frozen=True)
class TargetFile:
    """The targets of a file. Its code isn't imported here.

    Attributes:
        folder: where the file is, to which its data files are relative.
        targets: id → `module:function`.
    """

    folder: Path
    targets: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "TargetFile":
        """Find the functions that are marked in a file.

        Raises:
            UsageError: if there's no such file, none is marked, or Python can't import it.
            BundleFileError: if it isn't Python.
        """
        if not path.is_file():
            raise UsageError(f"There is no file {path}.", hint=_HINT)
        folder = path.absolute().parent
        try:
            found = discover_file(folder, path.name)["targets"]
        except BundleFileError as error:
            raise UsageError(f"{path} has no targets. {error.message}", hint=error.hint) from error
        if not found:
            raise UsageError(f"{path} has no function that is marked @target.", hint=_HINT)
        return cls(folder, {name: item.entrypoint for name, item in found.items()})

    def evaluator(self, code: RunCode) -> BundleEvaluator:
        """Return what evaluates a run's trials with these targets; its user closes it.

        The targets' code runs in the environment of the run's bundle, and may import from it; it
        works in its own folder.
        """
        paths = (str(code.folder), *code.packages.paths)
        packages = replace(code.packages, paths=paths)
        return BundleEvaluator(self.folder, self.targets, packages, directory=self.folder)


_HINT = "Name a Python file as a bundle's targets.py is: functions marked @target return a Target."
