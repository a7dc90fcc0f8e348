"""How an environment is: every stack's parts and every run, asked all at once."""

import datetime
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_table, say, uses_color
from modelops.cli.runs import list_runs, run_json, run_states, run_table
from modelops.core.background import start
from modelops.core.errors import ModelOpsError, NotThereError
from modelops.infra.chain import StackChain
from modelops.infra.stack import StackStatus
from modelops.providers.base import Component
from modelops.providers.health import PartHealth, PartState, no_answer
from modelops.runner.progress import RunSummary

STACKS = (Component.REGISTRY, Component.INFRA, Component.WORKSPACE)

_JOURNAL_SECONDS = 30.0
_NARROW, _GAP = 30, 3
_COLORS = {"healthy": 32, "finished": 32, "unhealthy": 33, "dead": 31, "gone": 31}
_FOLDERS = ("file:", "oci-layout:", "sqlite:")
_TO_HEAL = frozenset({PartState.DEAD, PartState.GONE})


@dataclass(frozen=True)
class StackHealth:
    """A stack and how its parts are; it has none while it isn't up."""

    status: StackStatus
    parts: tuple[PartHealth, ...]

    @property
    def unwell(self) -> tuple[PartHealth, ...]:
        """The parts that somebody has to look after."""
        return tuple(part for part in self.parts if not part.is_well)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "stack": self.status.name,
            "up": self.status.is_up,
            "healthy": self.status.is_up and not self.unwell,
            "dead": [part.part for part in self.parts if part.state in _TO_HEAL],
            "parts": [part.to_json() for part in self.parts],
        }


@dataclass(frozen=True)
class EnvironmentHealth:
    """All stacks and runs of an environment.

    Attributes:
        stacks: the three that exist once.
        runs: what the journals know, the newest first.
        states: run-id → state.
        runners: run-id → health of the runner, for runs that should have one.
        problem: why the runs aren't known; empty if they are.
    """

    stacks: Mapping[Component, StackHealth]
    runs: Sequence[RunSummary] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    runners: Mapping[str, PartHealth] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_up(self) -> bool:
        """Whether any stack is."""
        return any(stack.status.is_up for stack in self.stacks.values())

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything; a stack that isn't up is no illness."""
        parts = [part for stack in self.stacks.values() for part in stack.parts]
        return not self.problem and all(part.is_well for part in [*parts, *self.runners.values()])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "stacks": [stack.to_json() for stack in self.stacks.values()],
            "runs": [
                run_json(run, self.states[run.run_id])
                | {"runner": runner.to_json() if (runner := self.runners.get(run.run_id)) else None}
                for run in self.runs
            ],
            "problem": self.problem,
            "healthy": self.is_well,
        }


def check_component(chain: StackChain, component: Component, seconds: float) -> StackHealth:
    """Return the health of one stack.

    Raises:
        NotThereError: if it isn't up.
    """
    status, parts = chain.health(component, seconds=seconds)
    if not status.is_up:
        raise NotThereError(f"{status.name} isn't up.", hint=f"Bring it up: mops {component} up")
    return StackHealth(status, parts)


def check_environment(chain: StackChain, seconds: float) -> EnvironmentHealth:
    """Return the health of all stacks and runs, asked at the same time."""
    asked = {
        component: start(partial(chain.health, component, seconds=seconds)) for component in STACKS
    }
    stacks = {component: StackHealth(*future.result()) for component, future in asked.items()}
    if not stacks[Component.INFRA].status.is_up:
        return EnvironmentHealth(stacks)
    # Reading the journals may hang as their databases do; the engine is asked meanwhile, too.
    limit = seconds if stacks[Component.INFRA].unwell else max(seconds, _JOURNAL_SECONDS)
    found = start(partial(_check_runs, chain, seconds))
    try:
        runs, states, runners = found.result(timeout=limit)
    except TimeoutError:
        return EnvironmentHealth(stacks, problem=f"the journal {no_answer(limit)}")
    except ModelOpsError as error:
        return EnvironmentHealth(stacks, problem=str(error))
    return EnvironmentHealth(stacks, runs, states, runners)


def print_stack(component: Component, health: StackHealth) -> None:
    """Print a table of one stack's parts."""
    rows = [(part.part, part.state.value, _words(part, with_address=True)) for part in health.parts]
    _print_wrapped(("part", "state", "detail"), rows)


def print_stacks(health: EnvironmentHealth) -> None:
    """Print one table of the parts of all stacks."""
    rows: list[tuple[str, ...]] = []
    for component, stack in health.stacks.items():
        if not stack.status.is_up:
            rows.append((component, "-", "down", f"mops {component} up"))
        for index, part in enumerate(stack.parts):
            first = component if index == 0 else ""
            rows.append((first, part.part, part.state.value, _words(part)))
    _print_wrapped(("stack", "part", "state", "detail"), rows)


def print_runs(health: EnvironmentHealth) -> None:
    """Print the table of runs, and what is wrong with the runners of those that should go on."""
    if health.runs:
        print_data("")
        print_table(*run_table(health.runs, health.states))
    for run_id, runner in health.runners.items():
        if not runner.is_well:
            print_data(f"{run_id}: {runner.reason}")


def say_what_to_do(options: Options, stacks: Mapping[Component, StackHealth]) -> None:
    """Name the command that heals or tells more, for each stack that isn't well."""
    for component, stack in stacks.items():
        if any(part.state in _TO_HEAL for part in stack.unwell):
            say(options, f"Heal it with: mops {component} up")
        elif stack.unwell:
            say(options, f"See: mops logs {stack.unwell[0].part}")


def ago(moment: datetime.datetime) -> str:
    """Return how long something has been going on: `45s`, `12m`, `3h`, `2d`."""
    seconds = (datetime.datetime.now(datetime.UTC) - moment).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def _check_runs(
    chain: StackChain, seconds: float
) -> tuple[list[RunSummary], dict[str, str], dict[str, PartHealth]]:
    runs = list_runs(chain)
    states = run_states(chain, runs)
    going_on = [run.run_id for run in runs if run.finished_at is None]
    asked = {
        run_id: start(partial(chain.health, Component.ADAPTIVE, run_id, seconds=seconds))
        for run_id in going_on
    }
    runners = {}
    for run_id, future in asked.items():
        # A run that was taken down has no runner, and needs none.
        for part in future.result()[1]:
            runners[run_id] = part
    return runs, states, runners


def _words(part: PartHealth, *, with_address: bool = False) -> str:
    up = f"up {ago(part.since)}" if part.is_well and part.since is not None else ""
    is_service = "://" in part.address and not part.address.startswith(_FOLDERS)
    address = part.address if with_address or is_service else ""
    return ", ".join(word for word in (part.reason or part.detail, address, up) if word)


def _print_wrapped(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; on a terminal its last column is wrapped to the width there is."""
    if not sys.stdout.isatty():
        print_table(columns, rows)
        return
    *heads, _ = columns
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    left = shutil.get_terminal_size().columns - sum(width + _GAP for width in widths)
    for *cells, last in [[column.upper() for column in columns], *rows]:
        padded = [cell.ljust(width + _GAP) for cell, width in zip(cells, widths, strict=True)]
        lines = textwrap.wrap(last, max(_NARROW, left), break_long_words=False)
        if uses_color() and cells[-1] in _COLORS:
            padded[-1] = f"\x1b[{_COLORS[cells[-1]]}m{padded[-1]}\x1b[0m"
        print_data(f"{''.join(padded)}{lines[0] if lines else ''}".rstrip())
        for line in lines[1:]:
            print_data(" " * sum(width + _GAP for width in widths) + line)
