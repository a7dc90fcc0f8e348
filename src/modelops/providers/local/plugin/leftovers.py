"""Processes that an engine was killed over: started, but not in its state."""

import shutil
from pathlib import Path

from modelops.providers.local.plugin.ending import end_holders
from modelops.providers.local.plugin.launch import ProcessFolder


def end_leftovers(root: Path, stack: str, known: frozenset[str]) -> tuple[str, ...]:
    """End the processes below `root` that belong to a stack, but for those with a known URN.

    Their folders go too. Return the names of the resources.
    """
    gone = []
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        folder = ProcessFolder(path)
        urn = folder.urn()
        if urn.startswith(f"urn:pulumi:{stack}::") and urn not in known:
            end_holders(folder.lock)
            shutil.rmtree(path, ignore_errors=True)
            gone.append(urn.rsplit("::", 1)[-1])
    return tuple(gone)
