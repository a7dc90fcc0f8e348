"""What a bundle asks for, as its files say it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from modelops.core.errors import BundleFileError

REQUIREMENTS_FILE = "requirements.txt"
PROJECT_FILE = "pyproject.toml"
LOCK_FILE = "uv.lock"
SETTINGS_FILE = "uv.toml"

_INCLUDE = re.compile(r"(?P<option>-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(\S+)")
_EDITABLE = re.compile(r"-e|--editable")


@dataclass(frozen=True)
class BundleRequirements:
    """What a bundle asks for.

    Attributes:
        bundle_dir: the bundle.
        listed: each requirement, and the file that has it.
        sources: the names of the files that the installer reads; empty if nothing is listed.
        is_locked: whether `uv.lock` says which versions; it and `pyproject.toml` then say all.
        texts: each file that has a say in what is installed, by its name in the bundle.
    """

    bundle_dir: Path
    listed: tuple[tuple[Requirement, str], ...]
    sources: tuple[str, ...]
    is_locked: bool
    texts: dict[str, str] = field(hash=False)


def read_requirements(bundle_dir: Path) -> BundleRequirements:
    """Read what a bundle asks for.

    Read are `requirements.txt` (pip's format, with `-r` of files inside the bundle) and
    `project.dependencies` of `pyproject.toml`. Where `uv.lock` lies beside `pyproject.toml`,
    `requirements.txt` isn't read: it is taken for an export of the lock. Options that say where to
    install from are the installer's, and passed over here.

    Raises:
        BundleFileError: if a file can't be read as requirements.
    """
    texts: dict[str, str] = {}
    listed: list[tuple[Requirement, str]] = []
    sources = []
    has_project = (bundle_dir / PROJECT_FILE).is_file()
    is_locked = has_project and (bundle_dir / LOCK_FILE).is_file()
    if (bundle_dir / REQUIREMENTS_FILE).is_file() and not is_locked:
        listed += _from_file(REQUIREMENTS_FILE, bundle_dir, texts)
        sources += [REQUIREMENTS_FILE] if listed else []
    if has_project:
        texts[PROJECT_FILE] = _read(bundle_dir / PROJECT_FILE, PROJECT_FILE)
        project = [(_parse(text, PROJECT_FILE), PROJECT_FILE) for text in _project(texts)]
        sources += [PROJECT_FILE] if project else []
        listed += project
    for name in (LOCK_FILE,) * is_locked + (SETTINGS_FILE,):
        if (bundle_dir / name).is_file():
            texts[name] = _read(bundle_dir / name, name)
    return BundleRequirements(bundle_dir, tuple(listed), tuple(sources), is_locked, texts)


def _project(texts: dict[str, str]) -> list[str]:
    try:
        project = tomllib.loads(texts[PROJECT_FILE]).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise BundleFileError(f"The bundle's pyproject.toml isn't TOML: {error}") from error
    dependencies = project.get("dependencies", []) if isinstance(project, dict) else None
    if not isinstance(dependencies, list):
        raise BundleFileError("The bundle's pyproject.toml has no list in project.dependencies.")
    return [str(text) for text in dependencies]


def _from_file(
    where: str, bundle_dir: Path, texts: dict[str, str]
) -> Iterator[tuple[Requirement, str]]:
    path = (bundle_dir / where).resolve()
    if not path.is_relative_to(bundle_dir.resolve()):
        raise BundleFileError(f"The bundle's requirements name {where}, outside the bundle.")
    name = path.relative_to(bundle_dir.resolve()).as_posix()
    if name in texts:
        return
    texts[name] = _read(path, where)
    for raw in texts[name].replace("\\\n", " ").splitlines():
        # Pip's rule: a comment starts the line or follows a blank.
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        include = _INCLUDE.fullmatch(line)
        if include:
            beside = (Path(where).parent / include[2]).as_posix()
            if include["option"] in ("-r", "--requirement"):
                yield from _from_file(beside, bundle_dir, texts)
            elif (bundle_dir / beside).is_file():
                texts[beside] = _read(bundle_dir / beside, beside)
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
            hint="Write a name with or without versions, or name @ URL. For a wheel that the "
            "bundle has itself: --find-links FOLDER, and the name.",
        ) from error
