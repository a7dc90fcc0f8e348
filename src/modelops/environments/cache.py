"""Environments of bundles on this machine, shared by all its workers."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import modelops
from modelops.bundles.eviction import making_lock, new_staging, remove_leftovers, remove_staging
from modelops.contracts import EnvironmentMode
from modelops.core.errors import BundleError
from modelops.environments.base import Base
from modelops.environments.isolated import child_distributions, make_isolated
from modelops.environments.overlay import make_overlay, unlayered
from modelops.environments.record import BundleEnvironment, is_there, read_record, write_record
from modelops.environments.requirements import (
    LOCK_FILE,
    PROJECT_FILE,
    REQUIREMENTS_FILE,
    SETTINGS_FILE,
    BundleRequirements,
    read_requirements,
)
from modelops.environments.uv import InstallError, Uv

RETRY_SECONDS = 60.0
"""How long a failure is remembered: until then no task tries the same again."""

_FORMAT = 1
"""Part of every key: another one where the same requirements would be made into something else."""
_FILES = (REQUIREMENTS_FILE, PROJECT_FILE, LOCK_FILE, SETTINGS_FILE)

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class _Known:
    """An environment, and the states of the bundle's files that asked for it."""

    environment: BundleEnvironment
    stamps: Mapping[Path, _Stamp]

    def is_current(self) -> bool:
        unchanged = all(_stamp(path) == stamp for path, stamp in self.stamps.items())
        return unchanged and is_there(self.environment)


@dataclass(frozen=True)
class _Failure:
    """Why an environment couldn't be made, and when (seconds since the epoch)."""

    message: str
    hint: str
    at: float

    def error(self) -> BundleError:
        return BundleError(self.message, hint=self.hint)


class EnvironmentCache:
    """A directory of environments, each named by the hash of what asked for it.

    One appears by one rename, whole, and is never changed afterwards. Processes that want the same
    at once wait for the one that makes it, and take what came of it, be it a failure. What a
    process left that was killed goes when the next one makes something; uv's cache beside the
    environments has what it had fetched.
    """

    def __init__(self, root: Path, *, index: Mapping[str, str] | None = None) -> None:
        """Make a cache.

        Args:
            root: its directory, made when the first environment is.
            index: where packages come from and with which passwords: uv's variables, which go
                before those of this process's environment and to the install only.
        """
        # uv works in other folders.
        self._root = root.absolute()
        self._uv = Uv(self._root / "uv", index)
        self._known: dict[tuple[Path, EnvironmentMode], _Known] = {}
        self._failures: dict[str, _Failure] = {}

    def prepare(self, bundle_dir: Path, mode: EnvironmentMode) -> BundleEnvironment:
        """Return the environment that a bundle asks for, made if it isn't here.

        Threads and processes may call it at once. A failure is raised again, word for word, for
        RETRY_SECONDS, without another try.

        Raises:
            BundleFileError: if the bundle's requirements can't be read.
            BundleError: if they can't be installed; the message ends with what uv says.
            SecretError: if the file of a password can't be read.
        """
        bundle_dir = bundle_dir.absolute()
        known = self._known.get((bundle_dir, mode))
        if known is not None and known.is_current():
            return known.environment
        stamps = {bundle_dir / name: _stamp(bundle_dir / name) for name in _FILES}
        requirements = read_requirements(bundle_dir)
        stamps |= {
            bundle_dir / name: _stamp(bundle_dir / name)
            for name in requirements.texts
            if name not in _FILES
        }
        base = Base.current()
        if mode == EnvironmentMode.LAYERED and _is_met(requirements, base):
            environment = unlayered(base)
        else:
            environment = self._environment(requirements, base, mode)
        self._known[bundle_dir, mode] = _Known(environment, stamps)
        return environment

    def _environment(
        self, requirements: BundleRequirements, base: Base, mode: EnvironmentMode
    ) -> BundleEnvironment:
        key = _key(requirements, base, mode)
        started = time.time()
        try:
            found = read_record(self._root / key)
            return found or self._make(key, requirements, base, mode, started)
        except OSError as error:
            raise BundleError(
                f"The bundle's environment can't be made in {self._root}: {error}",
                hint="Check the space and the permissions there.",
            ) from error

    def _make(
        self,
        key: str,
        requirements: BundleRequirements,
        base: Base,
        mode: EnvironmentMode,
        started: float,
    ) -> BundleEnvironment:
        """Make an environment, alone; or take what somebody else has made meanwhile."""
        self._raise_failure(key, started)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with making_lock(self._root, key):
            found = read_record(self._root / key)
            if found is not None:
                return found
            self._raise_failure(key, started)
            remove_staging(self._root, key)
            staging = new_staging(self._root, key)
            try:
                make = make_overlay if mode == EnvironmentMode.LAYERED else make_isolated
                write_record(staging, make(requirements, base, staging, self._uv))
                entry = self._root / key
                if entry.exists():
                    entry.rename(new_staging(self._root, key))
                staging.rename(entry)
                self._failure_file(key).unlink(missing_ok=True)
            except BundleError as error:
                cause = error.__cause__
                if not isinstance(cause, InstallError) or cause.is_final:
                    self._keep_failure(key, error)
                raise
            finally:
                remove_staging(self._root, key)
        remove_leftovers(self._root)
        made = read_record(entry)
        if made is None:
            raise BundleError(
                f"{entry} was changed as soon as it was there.",
                hint="Nothing but ModelOps may write there.",
            )
        return made

    def _raise_failure(self, key: str, started: float) -> None:
        failure = self._failures.get(key)
        if failure is not None and time.time() - failure.at < RETRY_SECONDS:
            raise failure.error()
        failure = _read_failure(self._failure_file(key))
        # Another process's: only for those that waited for it. Later ones may have other settings.
        if failure is not None and failure.at >= started:
            self._failures[key] = failure
            raise failure.error()

    def _keep_failure(self, key: str, error: BundleError) -> None:
        failure = _Failure(error.message, error.hint, time.time())
        self._failures[key] = failure
        self._failure_file(key).write_text(json.dumps(vars(failure)))

    def _failure_file(self, key: str) -> Path:
        return self._root / f".{key}.failure"


def _is_met(requirements: BundleRequirements, base: Base) -> bool:
    # A lock asks for exact versions of what is behind the listed ones, too.
    if requirements.is_locked and requirements.listed:
        return False
    return not any(base.problem(requirement) for requirement, _ in requirements.listed)


def _key(requirements: BundleRequirements, base: Base, mode: EnvironmentMode) -> str:
    used = (
        base.distributions.values()
        if mode == EnvironmentMode.LAYERED
        else child_distributions(base)
    )
    facts = {
        "format": _FORMAT,
        "mode": mode,
        "files": requirements.texts if requirements.listed else {},
        "interpreter": [*base.interpreter, os.path.realpath(sys.executable)],
        "base": sorted(map(str, used)),
        # What isolated environments have links to.
        "place": [sys.prefix, modelops.__file__] if mode == EnvironmentMode.ISOLATED else [],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> _Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for each task
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_failure(path: Path) -> _Failure | None:
    try:
        return _Failure(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
