"""What the runner is started with: the file that names the run, and the environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from modelops.contracts import RunPlan
from modelops.contracts.lifecycle import REDACTED
from modelops.core.errors import SpecError, UsageError
from modelops.core.naming import check_dns_label
from modelops.core.secret_files import secret_variable


@dataclass(frozen=True)
class RunRequest:
    """Which run to carry out.

    Attributes:
        run_id: a DNS label, the run's name for good.
        env: the environment it belongs to.
        plan: everything that decides its results.
        workers: the group whose workers simulate, or None for all.
    """

    run_id: str
    env: str
    plan: RunPlan
    workers: str | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the JSON file `{"run_id": …, "env": …, "plan": …, "workers": …}`.

        Raises:
            SpecError: if it can't be read or isn't of that form.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(f"{path} can't be read: {error.strerror}") from error
        except ValueError as error:
            raise SpecError(f"{path} isn't JSON: {error}") from error
        try:
            run_id, env, plan = (content[name] for name in ("run_id", "env", "plan"))
            return cls(
                check_dns_label(run_id, "run-id"),
                check_dns_label(env, "environment"),
                RunPlan.from_json(plan),
                content.get("workers"),
            )
        except KeyError as error:
            raise SpecError(f"{path} lacks {error}.") from error
        except (TypeError, ValueError) as error:
            raise SpecError(f"{path} isn't a run: {error}") from error


@dataclass(frozen=True)
class RunEnvironment:
    """What infrastructure tells the runner, by environment variables of the same names.

    A secret one may lie in a file instead: then the variable's name ends in _FILE, and its value
    is the file's path.

    Attributes:
        dask_scheduler: the scheduler's address.
        database_url: the journal's database; it may hold a password and is never printed.
        object_store_url: where results go, an fsspec URL.
        modelops_bundle_registry: where bundles come from.
        secret: the names of the variables whose values came from files.
    """

    dask_scheduler: str
    database_url: str = field(repr=False)
    object_store_url: str
    modelops_bundle_registry: str
    secret: frozenset[str] = frozenset()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Take the variables.

        Raises:
            UsageError: that names all that are missing.
            SecretError: if the file of one can't be read or is empty.
        """
        secrets = {name: secret_variable(environ, name) for name in _variables()}
        found = {name: secrets[name] or environ.get(name) for name in secrets}
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise UsageError(
                f"The environment lacks {', '.join(missing)}.",
                hint="`mops adaptive up` sets them from the workspace's bindings.",
            )
        return cls(
            **{name.lower(): value for name, value in found.items() if value},
            secret=frozenset(name for name, value in secrets.items() if value),
        )

    def variables(self) -> dict[str, str]:
        """Return the variables for a RunContext: of those from files no value is there.

        DATABASE_URL may hold a password if it came as it is.
        """
        return {
            name: REDACTED if name in self.secret else getattr(self, name.lower())
            for name in _variables()
        }


def _variables() -> tuple[str, ...]:
    return tuple(item.name.upper() for item in fields(RunEnvironment) if item.name != "secret")
