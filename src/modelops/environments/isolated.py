"""Isolated environments: a virtual environment with the bundle's own versions of everything."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import modelops
from modelops.core.errors import BundleError
from modelops.environments.base import Base, Installed, distributions_in
from modelops.environments.record import BundleEnvironment, environment_digest
from modelops.environments.requirements import BundleRequirements
from modelops.environments.uv import InstallError, Uv, install_error

CHILD_DISTRIBUTIONS = ("narwhals", "numpy", "packaging", "pyarrow")
"""What our program in a bundle's process needs beside `modelops` itself."""

NUMPY_1_PYARROW = "pyarrow>=18,<26"
"""What goes with a bundle's NumPy 1: later ones refuse to be imported with it."""

_PROGRAM = "import modelops.worker.child, modelops.calibration"
_HINT = (
    "Check the requirements' names and versions, and that the index has them and can be reached."
)
_TAIL = 2_000


def child_distributions(base: Base) -> tuple[Installed, ...]:
    """Return what isolated environments have of the worker's, unless the bundle brings its own."""
    names = ("modelops", *CHILD_DISTRIBUTIONS)
    return tuple(base.distributions[name] for name in names if name in base.distributions)


def make_isolated(
    requirements: BundleRequirements, base: Base, folder: Path, uv: Uv
) -> BundleEnvironment:
    """Make a virtual environment in `folder` that can be moved, and can run our program.

    Raises:
        BundleError: if what the bundle asks for can't be installed, or our program can't run
            with it.
    """
    venv = folder / "venv"
    python = venv / "bin" / "python"
    bundle_dir = requirements.bundle_dir
    install = ("pip", "install", "--python", str(python), "--compile-bytecode")
    try:
        uv.run(
            *("venv", "--relocatable", "--no-project", "--python", sys.executable, str(venv)),
            folder=folder,
        )
        if requirements.is_locked and requirements.listed:
            uv.run(
                *("sync", "--frozen", "--no-install-project", "--no-default-groups"),
                *("--compile-bytecode", "--python", str(python)),
                folder=bundle_dir,
                UV_PROJECT_ENVIRONMENT=str(venv),
            )
        elif requirements.sources:
            files = [word for name in requirements.sources for word in ("-r", name)]
            uv.run(*install, *files, folder=bundle_dir)
        site = next((venv / "lib").glob("*/site-packages"))
        added = distributions_in(str(site))
        if _needs_other_pyarrow(added, base):
            uv.run(*install, NUMPY_1_PYARROW, folder=bundle_dir)
            added = distributions_in(str(site))
    except InstallError as error:
        raise install_error("The bundle's packages can't be installed:", error, _HINT) from error
    lent = tuple(one for one in child_distributions(base) if one.name not in added)
    _lend(lent, folder / "lent", site)
    _check(python)
    digest = environment_digest(base.interpreter, lent, added.values())
    return BundleEnvironment(str(python), (), digest)


def _needs_other_pyarrow(added: Mapping[str, Installed], base: Base) -> bool:
    numpy, ours = added.get("numpy"), base.distributions.get("pyarrow")
    if numpy is None or ours is None or "pyarrow" in added or Version(numpy.version).major >= 2:
        return False
    return ours.version not in Requirement(NUMPY_1_PYARROW).specifier


def _lend(lent: tuple[Installed, ...], place: Path, site: Path) -> None:
    """Put the worker's own packages last on the path, by links, and nothing else of the worker."""
    place.mkdir()
    package = Path(modelops.__file__).resolve().parent
    for installed in lent:
        root = Path(str(installed.distribution.locate_file("")))
        for name in _tops(installed) - {package.name}:
            (place / name).symlink_to((root / name).resolve())
    # Installed for development, it isn't where its metadata is.
    (place / package.name).symlink_to(package)
    # Relative, as the environment moves.
    line = os.path.relpath(place, site)
    (site / "modelops-lent.pth").write_text(f"{line}\n")


def _tops(installed: Installed) -> set[str]:
    tops = {file.parts[0] for file in installed.distribution.files or ()}
    return {top for top in tops if top not in ("..", "__pycache__") and not top.endswith(".pth")}


def _check(python: Path) -> None:
    """Start what every process of the bundle starts with."""
    done = subprocess.run(
        [python, "-P", "-c", _PROGRAM],
        env=_plain_environment(os.environ),
        cwd=python.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise BundleError(
            f"ModelOps can't run with the bundle's packages:\n{done.stderr.strip()[-_TAIL:]}",
            hint=f"It needs {', '.join(CHILD_DISTRIBUTIONS)}: ask for versions of them that it can "
            "be used with, or for none, and it takes the worker's.",
        )


def _plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: environment[name] for name in names if name in environment}
