"""Files that commands write, and what is to be said of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.core.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from modelops.infra.chain import StackChain


def check_output(file: Path | None) -> None:
    """Check that a file that is to be written has a place, before anything else is done.

    Raises:
        UsageError: if it has none.
    """
    if file is None:
        return
    if file.is_dir():
        raise UsageError(f"--output is {file}, a directory.", hint=f"Name a file in it: {file}/…")
    if not file.absolute().parent.is_dir():
        raise UsageError(
            f"--output is {file}, and there's no directory {file.parent}.", hint="Make it first."
        )


def write_parquet(table: "pa.Table", file: Path) -> None:
    """Write a table to a Parquet file.

    Raises:
        OSError: if it can't be written; it names the file.
    """
    import io

    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    file.write_bytes(buffer.getvalue())


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
