"""What is to be said of a file that a command has written."""

from pathlib import Path
from typing import TYPE_CHECKING

from modelops.cli.options import Options
from modelops.cli.output import say

if TYPE_CHECKING:
    from modelops.infra.chain import StackChain


def warn_if_packed(options: Options, chain: "StackChain", file: Path) -> None:
    """Say so if a file has become a part of a bundle of the spec: the next run would be another."""
    from modelops.bundles.tree import IGNORE_FILE, list_files
    from modelops.core.errors import BundleFileError

    for algorithm in chain.plan.algorithms:
        folder = algorithm.bundle.directory
        if folder is None or not file.resolve().is_relative_to(folder.resolve()):
            continue
        name = file.resolve().relative_to(folder.resolve()).as_posix()
        try:
            is_packed = any(packed.name == name for packed in list_files(folder))
        except BundleFileError:
            # What is wrong with the bundle is said when it's pushed.
            return
        if is_packed:
            say(
                options,
                f"{file} lies in the bundle {folder.name} and would be packed: the next run would "
                f"be another one. Name it in {IGNORE_FILE}, or write elsewhere with --output.",
            )
            return
