"""A bar on the terminal while a bundle is pushed or pulled."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelops.bundles.progress import UNWATCHED, TransferProgress
from modelops.cli.options import Options

if TYPE_CHECKING:
    from rich.console import Console

LEAST_BYTES = 2**20
"""What is less is there before anybody could read it."""


@contextmanager
def transfer_bar(options: Options, what: str) -> Iterator[TransferProgress]:
    """Give what shows a transfer on stderr, as long as it's a terminal and nobody wants quiet.

    Nothing is shown of less than `LEAST_BYTES`; at the end the bar goes away.
    """
    if options.quiet or options.json or not sys.stderr.isatty():
        yield UNWATCHED
        return
    from rich.console import Console

    with shown(what, Console(stderr=True)) as bar:
        yield bar


@contextmanager
def shown(what: str, console: "Console") -> Iterator[TransferProgress]:
    """Give what shows a transfer on a console."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(what, total=0, visible=False)
    lock = threading.Lock()

    class Bar:
        total = 0

        def expect(self, size: int) -> None:
            with lock:
                self.total += size
            progress.update(task, total=self.total, visible=self.total >= LEAST_BYTES)

        def moved(self, size: int) -> None:
            progress.advance(task, size)

    with progress:
        yield Bar()
