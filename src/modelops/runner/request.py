"""What the runner is started with: the file that names the run, and the environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from modelops.contracts import RunPlan
from modelops.core.errors import SpecError, UsageError
from modelops.core.naming import check_dns_label


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

    Attributes:
        dask_scheduler: the scheduler's address.
        database_url: the journal's database; it may hold a password and is never printed.
        object_store_url: where results go, an fsspec URL.
        modelops_bundle_registry: where bundles come from.
    """

    dask_scheduler: str
    database_url: str = field(repr=False)
    object_store_url: str
    modelops_bundle_registry: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Take the variables.

        Raises:
            UsageError: that names all that are missing.
        """
        names = {item.name: item.name.upper() for item in fields(cls)}
        missing = [variable for variable in names.values() if not environ.get(variable)]
        if missing:
            raise UsageError(
                f"The environment lacks {', '.join(missing)}.",
                hint="`mops adaptive up` sets them from the workspace's bindings.",
            )
        return cls(**{name: environ[variable] for name, variable in names.items()})

    def variables(self) -> dict[str, str]:
        """Return the variables; DATABASE_URL with its password, so only for a RunContext."""
        return {item.name.upper(): getattr(self, item.name) for item in fields(self)}
