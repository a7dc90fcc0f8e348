"""Whether this interpreter has what a bundle asks for, where nothing is installed for it."""

from pathlib import Path

from modelops.core.errors import BundleError
from modelops.environments.base import Base
from modelops.environments.requirements import read_requirements

_INSTALL = (
    "Nothing is installed here: install it into this Python's environment, or change the bundle's "
    "requirements."
)


def check_requirements(bundle_dir: Path) -> None:
    """Check what the bundle asks for against the installed distributions.

    Markers are respected; what an extra asks for is checked too.

    Raises:
        BundleFileError: if a file can't be read as requirements.
        BundleError: if a requirement isn't met; the hint says what to do.
    """
    base = Base.current()
    for requirement, where in read_requirements(bundle_dir).listed:
        problem = base.problem(requirement)
        if problem:
            raise BundleError(
                f"The bundle's {where} asks for {requirement}: {problem}.", hint=_INSTALL
            )
