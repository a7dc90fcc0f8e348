"""Which stacks there are in the backend, whoever's they are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pulumi import automation as auto

from modelops.core.automation import open_workspace
from modelops.core.naming import StackNaming
from modelops.core.scratch import scratch_folder
from modelops.core.settings import Home
from modelops.infra.engine_errors import in_words
from modelops.infra.repair import TO_ASK, require_space
from modelops.infra.stack import ENV_TAG, RUN_TAG
from modelops.providers.base import Component


def run_ids(naming: StackNaming, home: Home) -> tuple[str, ...]:
    """Return the run-ids of all adaptive stacks of the environment, in order.

    Raises:
        EngineError: with what the engine said.
    """
    return adaptive_stacks(naming, home).run_ids


@dataclass(frozen=True)
class AdaptiveStacks:
    """The adaptive stacks of an environment.

    Attributes:
        run_ids: the runs that have one, in order.
        half_made: names of those whose maker was killed before it could say whose they are.
    """

    run_ids: tuple[str, ...]
    half_made: tuple[str, ...]


def adaptive_stacks(naming: StackNaming, home: Home) -> AdaptiveStacks:
    """Return the adaptive stacks of the environment.

    Raises:
        EngineError: with what the engine said.
    """
    with _workspace(home, naming.project(Component.ADAPTIVE)) as workspace:
        tags = {item.name: workspace.list_tags(item.name) for item in workspace.list_stacks()}
    ours = naming.stack(Component.ADAPTIVE) + "-"
    return AdaptiveStacks(
        tuple(
            sorted(
                of[RUN_TAG]
                for of in tags.values()
                if of.get(ENV_TAG) == naming.env and RUN_TAG in of
            )
        ),
        tuple(name for name, of in tags.items() if ENV_TAG not in of and name.startswith(ours)),
    )


def remove_half_made(naming: StackNaming, home: Home, names: Iterable[str]) -> None:
    """Remove half-made adaptive stacks that are empty.

    Raises:
        EngineError: with what the engine said.
    """
    project = naming.project(Component.ADAPTIVE)
    for name in names:
        with _workspace(home, project) as workspace, suppress(auto.CommandError):
            # The engine refuses if there is a resource in it.
            workspace.remove_stack(name)


def all_stacks(home: Home) -> tuple[str, ...]:
    """Return the names of all stacks of the backend, those of other environments too.

    Raises:
        EngineError: with what the engine said.
    """
    with _workspace(home, "modelops") as workspace:
        return tuple(item.name for item in workspace.list_stacks(include_all=True))


@contextmanager
def _workspace(home: Home, project: str) -> Iterator[auto.LocalWorkspace]:
    require_space(home, TO_ASK)
    with scratch_folder(home) as folder:
        try:
            yield open_workspace(home, project, folder)
        except auto.CommandError as error:
            raise in_words("The stacks can't be listed", error, home) from error
