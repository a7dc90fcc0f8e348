"""Clearing a home of what environments share, once the last of them is gone."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from modelops.core.errors import EngineError
from modelops.core.settings import Home
from modelops.infra.exclusive import alone_in
from modelops.infra.inventory import all_stacks


def clear_home(home: Home) -> tuple[str, ...]:
    """Remove the engine's state, its key and the cache if no environment needs them any more.

    Nothing goes while another command is at work, while a stack is there, or where the stacks are
    kept in a backend elsewhere. Return what went.
    """
    if not home.root.exists() or os.environ.get("PULUMI_BACKEND_URL"):
        return ()
    with alone_in(home) as is_alone:
        if not is_alone or _has_data(home):
            return ()
        try:
            if home.pulumi_state.exists() and all_stacks(home):
                return ()
        except EngineError:
            # What can't be read can't be said to be unused.
            return ()
        gone = [str(path) for path in home.shared_paths() if _remove(path)]
        with suppress(OSError):  # files of the user's own
            home.root.rmdir()
    return tuple(gone)


def _has_data(home: Home) -> bool:
    return any(folder.exists() and any(folder.iterdir()) for folder in home.env_folders())


def _remove(path: Path) -> bool:
    if path.is_dir():
        shutil.rmtree(path)
        return True
    with suppress(FileNotFoundError):
        path.unlink()
        return True
    return False
