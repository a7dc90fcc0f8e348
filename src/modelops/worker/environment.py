"""Whether this interpreter has what a bundle asks for."""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from modelops.core.errors import BundleError, BundleFileError

_INSTALL = (
    "Install it into the environment that runs the workers, or change the bundle's requirements."
)
_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|=|(?<=r))(\S+)")
_EDITABLE = re.compile(r"-e|--editable")


def check_requirements(bundle_dir: Path) -> None:
    """Check what the bundle asks for against the installed distributions.

    Read are `requirements.txt` (pip's format, with `-r` of files inside the bundle) and
    `project.dependencies` of `pyproject.toml`. Markers are respected; what an extra asks for is
    checked too. Pip's other options say where to install from, not what: they're passed over.

    Raises:
        BundleFileError: if a file can't be read as requirements.
        BundleError: if a requirement isn't met; the hint says what to do.
    """
    for requirement, where in _requirements(bundle_dir):
        problem = _problem(requirement, set())
        if problem:
            raise BundleError(
                f"The bundle's {where} asks for {requirement}: {problem}.", hint=_INSTALL
            )


def _requirements(bundle_dir: Path) -> Iterator[tuple[Requirement, str]]:
    if (bundle_dir / "requirements.txt").is_file():
        yield from _from_file("requirements.txt", bundle_dir, set())
    if (bundle_dir / "pyproject.toml").is_file():
        try:
            project = tomllib.loads(_read(bundle_dir / "pyproject.toml", "pyproject.toml"))
        except tomllib.TOMLDecodeError as error:
            raise BundleFileError(f"The bundle's pyproject.toml isn't TOML: {error}") from error
        for text in project.get("project", {}).get("dependencies", []):
            yield _parse(str(text), "pyproject.toml"), "pyproject.toml"


def _from_file(where: str, bundle_dir: Path, seen: set[Path]) -> Iterator[tuple[Requirement, str]]:
    path = (bundle_dir / where).resolve()
    if not path.is_relative_to(bundle_dir.resolve()):
        raise BundleFileError(f"The bundle's requirements name {where}, outside the bundle.")
    if path in seen:
        return
    seen.add(path)
    for raw in _read(path, where).replace("\\\n", " ").splitlines():
        # Pip's rule: a comment starts the line or follows a blank.
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        include = _INCLUDE.fullmatch(line)
        if include:
            beside = Path(where).parent / include[1]
            yield from _from_file(beside.as_posix(), bundle_dir, seen)
        elif line and (not line.startswith("-") or _EDITABLE.match(line)):
            # Options of one requirement, such as --hash, follow it.
            yield _parse(re.split(r"\s--", line, maxsplit=1)[0], where), where


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleFileError(f"The bundle's {where} can't be read: {error}") from error


def _parse(text: str, where: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise BundleFileError(
            f"The bundle's {where} has {text!r}, which can't be checked.",
            hint="Write a name with or without versions, or name @ URL.",
        ) from error


def _problem(requirement: Requirement, seen: set[str], extra: str = "") -> str | None:
    """Say what is wrong with a requirement, or None; `extra` is the one that brought it."""
    if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
        return None
    try:
        installed = metadata.distribution(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} isn't installed"
    # An installed pre-release counts: whoever installed it asked for it.
    if not requirement.specifier.contains(installed.version, prereleases=True):
        return f"{requirement.name} {installed.version} is installed"
    for name in requirement.extras - seen:
        for text in installed.requires or []:
            nested = Requirement(text)
            if nested.marker and not nested.marker.evaluate({"extra": ""}):
                problem = _problem(nested, {*seen, *requirement.extras}, name)
                if problem:
                    return f"its extra {name} asks for {nested}, and {problem}"
    return None
