"""Giving the engine a Kubernetes plugin: the real one if it's on PATH, else the stand-in."""

import os
import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "pulumi-resource-kubernetes"


def path_with_plugin(folder: Path, path: str | None = None) -> str:
    """Return a PATH on which the engine finds a Kubernetes plugin.

    Args:
        folder: where the stand-in's launcher goes, if it's needed.
        path: the PATH to begin with; None for this process's.
    """
    path = os.environ.get("PATH", "") if path is None else path
    if shutil.which(PROGRAM, path=path):
        return path
    return os.pathsep.join([path, str(install_stand_in(folder).parent)])


def install_stand_in(folder: Path) -> Path:
    """Write the stand-in's launcher into a folder and return it; it runs in our environment."""
    launcher = folder / PROGRAM
    here = str(Path(__file__).parent.parent)
    launcher.write_text(
        "#!/bin/sh\n"
        f"PYTHONPATH={shlex.quote(here)} "
        f'exec {shlex.quote(sys.executable)} -m kubernetes_provider "$@"\n'
    )
    launcher.chmod(0o755)
    return launcher
