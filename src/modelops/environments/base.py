"""The worker's own interpreter and distributions, which layered environments build on."""

import functools
import json
import platform
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class Installed:
    """A distribution that is installed here."""

    name: str
    version: str
    distribution: metadata.Distribution = field(hash=False, compare=False, repr=False)

    def __str__(self) -> str:
        """Return the requirement that nothing else meets."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Base:
    """What a worker has before any bundle asks for something.

    Attributes:
        interpreter: implementation, version, platform and ABI.
        distributions: what is installed, by canonical name.
    """

    interpreter: tuple[str, ...]
    distributions: Mapping[str, Installed] = field(hash=False)

    @classmethod
    def current(cls) -> "Base":
        """Return this process's own; the metadata is read once for each `sys.path`."""
        return _base(tuple(sys.path))

    def problem(self, requirement: Requirement) -> str | None:
        """Say in what way a requirement isn't met, with what its extras ask for; None if it is."""
        return self._problem(requirement, set())

    def conflicts(self, requirement: Requirement) -> bool:
        """Whether a requirement asks for another version than is installed."""
        installed = self.distributions.get(canonicalize_name(requirement.name))
        if installed is None or not _applies(requirement):
            return False
        return _mismatch(requirement, installed) is not None

    def _problem(self, requirement: Requirement, seen: set[str], extra: str = "") -> str | None:
        if not _applies(requirement, extra):
            return None
        installed = self.distributions.get(canonicalize_name(requirement.name))
        if installed is None:
            return f"{requirement.name} isn't installed"
        mismatch = _mismatch(requirement, installed)
        if mismatch:
            return mismatch
        for name in requirement.extras - seen:
            for text in installed.distribution.requires or []:
                nested = Requirement(text)
                if nested.marker and not _applies(nested):
                    problem = self._problem(nested, {*seen, *requirement.extras}, name)
                    if problem:
                        return f"its extra {name} asks for {nested}, and {problem}"
        return None


def distributions_in(*folders: str) -> dict[str, Installed]:
    """Return what is installed in directories, by canonical name; the first of a name counts."""
    found: dict[str, Installed] = {}
    for distribution in metadata.distributions(path=list(folders)):
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        # An installer that was killed leaves what has no name; some old ones wrote what isn't a
        # version, which nothing could be compared with.
        if name and version and _is_version(version):
            key = canonicalize_name(name)
            found.setdefault(key, Installed(key, version, distribution))
    return found


@functools.lru_cache(maxsize=4)
def _base(path: tuple[str, ...]) -> Base:
    interpreter = (
        sys.implementation.name,
        platform.python_version(),
        sysconfig.get_platform(),
        str(sysconfig.get_config_var("SOABI")),
    )
    return Base(interpreter, distributions_in(*path))


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _mismatch(requirement: Requirement, installed: Installed) -> str | None:
    # An installed pre-release counts: whoever installed it asked for it.
    if not requirement.specifier.contains(installed.version, prereleases=True):
        return f"{requirement.name} {installed.version} is installed"
    if requirement.url and not _is_from(installed.distribution, requirement.url):
        return f"{requirement.name} {installed.version} is installed from elsewhere"
    return None


def _is_from(distribution: metadata.Distribution, url: str) -> bool:
    """Whether a distribution was installed from a URL.

    https://packaging.python.org/specifications/direct-url/
    """
    text = distribution.read_text("direct_url.json")
    if text is None:
        return False
    direct = json.loads(text)
    vcs = direct.get("vcs_info")
    if not vcs:
        return bool(direct["url"] == url)
    plain = f"{vcs['vcs']}+{direct['url']}"
    revisions = (vcs["commit_id"], vcs.get("requested_revision"))
    return url in {f"{plain}@{revision}" for revision in revisions if revision}
