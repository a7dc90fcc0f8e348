"""Layered environments: a directory with what a bundle asks for beyond what the worker has."""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from modelops.core.errors import BundleError
from modelops.environments.base import Base, Installed, distributions_in
from modelops.environments.record import BundleEnvironment, environment_digest
from modelops.environments.requirements import BundleRequirements
from modelops.environments.uv import InstallError, Uv, install_error

_ISOLATED = (
    "Layered environments keep the worker's versions. With `environment: isolated` (execution, in "
    "the algorithm's spec) the bundle gets an environment of its own."
)
_CHECK = (
    "Check the requirements' names and versions, and that the index has them and can be reached."
)


def unlayered(base: Base) -> BundleEnvironment:
    """Return the environment of a bundle that needs nothing beyond what the worker has."""
    digest = environment_digest(base.interpreter, base.distributions.values())
    return BundleEnvironment(sys.executable, (), digest)


def make_overlay(
    requirements: BundleRequirements, base: Base, folder: Path, uv: Uv
) -> BundleEnvironment:
    """Install in `folder` what the bundle asks for and the worker lacks.

    uv installs into a directory as if nothing else were there, and resolves without what the
    worker has. So the directory first gets the metadata of the worker's distributions, without
    their files: uv takes them as installed there, asks no index for them, and leaves them alone.

    Raises:
        BundleError: if it can't be done with the worker's versions, or at all.
    """
    for requirement, where in requirements.listed:
        if base.conflicts(requirement):
            raise BundleError(
                f"The bundle's {where} asks for {requirement}: {base.problem(requirement)}.",
                hint=_ISOLATED,
            )
    site, constraints = folder / "site", folder / "constraints.txt"
    site.mkdir()
    placeholders = [_placeholder(one, site) for one in base.distributions.values()]
    constraints.write_text("".join(f"{one}\n" for one in base.distributions.values()))
    try:
        uv.run(
            *("pip", "install", "--python", sys.executable, "--target", str(site)),
            *("-c", str(constraints), "--compile-bytecode"),
            *_sources(requirements, folder, uv),
            folder=requirements.bundle_dir,
        )
    except InstallError as error:
        pinned = [str(one) for one in base.distributions.values() if str(one) in error.message]
        raise install_error(
            "The bundle's packages don't go with those of the worker:"
            if pinned
            else "The bundle's packages can't be installed:",
            error,
            _ISOLATED if pinned else _CHECK,
        ) from error
    if replaced := [path for path in placeholders if not path.exists()]:
        names = ", ".join(path.name.removesuffix(".dist-info") for path in replaced)
        raise BundleError(f"The bundle asks for others than the worker's {names}.", hint=_ISOLATED)
    for path in placeholders:
        shutil.rmtree(path)
    added = distributions_in(str(site)).values()
    if not added:
        return unlayered(base)
    return BundleEnvironment(sys.executable, (str(site),), _digest(base, added))


def _digest(base: Base, added: Iterable[Installed]) -> str:
    return environment_digest(base.interpreter, base.distributions.values(), added)


def _placeholder(installed: Installed, site: Path) -> Path:
    folder = site / f"{installed.name.replace('-', '_')}-{installed.version}.dist-info"
    folder.mkdir()
    read = installed.distribution.read_text
    (folder / "METADATA").write_text(read("METADATA") or read("PKG-INFO") or "", encoding="utf-8")
    # Empty, so that nothing could be removed for it.
    (folder / "RECORD").touch()
    for name in ("WHEEL", "direct_url.json"):
        if text := read(name):
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def _sources(requirements: BundleRequirements, folder: Path, uv: Uv) -> list[str]:
    if not requirements.is_locked:
        return [word for name in requirements.sources for word in ("-r", name)]
    exported = folder / "locked.txt"
    exported.write_text(
        uv.run(
            *("export", "--frozen", "--no-emit-project", "--no-default-groups", "--no-header"),
            *("--no-annotate", "--python", sys.executable),
            folder=requirements.bundle_dir,
        )
    )
    return ["-r", str(exported)]
