"""Finding PostgreSQL on this machine."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelops.core.errors import ProviderError

_PROGRAMS = ("postgres", "initdb", "pg_isready")
# Where packages put what they don't put on PATH: Debian, Red Hat, Homebrew on either processor.
_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Binaries:
    """The folder of one installed PostgreSQL."""

    folder: Path

    def path(self, program: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / program)

    def major(self) -> int:
        """Return its major version, which a data folder belongs to.

        Raises:
            ProviderError: if it can't be run.
        """
        try:
            answer = subprocess.run(
                [self.path("postgres"), "--version"], capture_output=True, text=True, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise ProviderError(f"{self.path('postgres')} can't be run: {error}") from error
        found = _VERSION.search(answer)
        if found is None:
            raise ProviderError(f"{self.path('postgres')} doesn't say its version: {answer!r}")
        return int(found[1])


def find_binaries(major: int | None = None) -> Binaries:
    """Return the PostgreSQL of a major version, else the one on PATH, else the newest one.

    Raises:
        ProviderError: if there is none, with what to do.
    """
    installed = list(_installed())
    if not installed:
        raise ProviderError(
            "There is no PostgreSQL on this machine: neither PATH nor the usual places have "
            f"{', '.join(_PROGRAMS)}.",
            hint="Install it (apt install postgresql, dnf install postgresql-server, "
            "brew install postgresql), or write `engine: sqlite`.",
        )
    if major is not None:
        for binaries in installed:
            if binaries.major() == major:
                return binaries
    return installed[0]


def _installed() -> Iterator[Binaries]:
    for folder in [*_on_path(), *_in_usual_places()]:
        if all((folder / program).is_file() for program in _PROGRAMS):
            yield Binaries(folder)


def _on_path() -> list[Path]:
    found = shutil.which("postgres")
    # What is on PATH may be a link to the one program; its siblings are where it points.
    return [] if found is None else [Path(found).parent, Path(found).resolve().parent]


def _in_usual_places() -> list[Path]:
    found = [path for place in _PLACES for path in Path("/").glob(place.lstrip("/"))]
    return sorted(found, key=_version_in, reverse=True)


def _version_in(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", folder.parent.name))
