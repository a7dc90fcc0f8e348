"""What a provider makes of a spec, as a table: stacks, and in each its resources."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from modelops.cli.output import print_data
from modelops.core.naming import StackNaming
from modelops.providers.base import ProviderPlan, ResourcePlan
from modelops.spec.plan import AlgorithmPlan, CompiledPlan

_INDENT = "  "
_GAP = "   "


def print_plan(plan: CompiledPlan, compiled: ProviderPlan) -> None:
    """Write the table to stdout; on a terminal its lines are cut to the terminal's width."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in plan_lines(plan, compiled):
        print_data(line if width is None else cut(line, width))


def plan_lines(plan: CompiledPlan, compiled: ProviderPlan) -> Iterator[str]:
    """Yield the table's lines: a stack's own, then one for each of its resources.

    Of a resource's properties those are shown that are plain values, in the provider's order.
    """
    naming = StackNaming(compiled.env)
    algorithms = {algorithm.name: algorithm for algorithm in plan.algorithms}
    head = ("STACK/TYPE", "NAME", "PROPERTIES")
    # Runs' names are long; they would push everybody's properties out of sight.
    once = [stack for stack in compiled.stacks if stack.run_id is None]
    wide = [head, *(_row(item) for stack in once for item in stack.resources)]
    widths = [max(cell_len(row[column]) for row in wide) for column in (0, 1)]
    yield _line(head, widths)
    for stack in compiled.stacks:
        yield naming.stack(stack.component, stack.run_id)
        if stack.algorithm in algorithms:
            yield f"{_INDENT}run {stack.run_id}: {_in_words(algorithms[stack.algorithm])}"
        for item in stack.resources:
            yield _line(_row(item), widths)


def cut(line: str, width: int) -> str:
    """Return the line in at most so many cells of a terminal; what is missing shows as `…`."""
    return line if cell_len(line) <= width else set_cell_size(line, width - 1) + "…"


def _in_words(algorithm: AlgorithmPlan) -> str:
    replicates = f" × {algorithm.replicates}" if algorithm.replicates > 1 else ""
    words = f"{algorithm.type}, {algorithm.n_trials} trials{replicates}, on {algorithm.workers}"
    key = algorithm.public_key
    return words if key is None else f"{words}, signed with {key.fingerprint}"


def _row(resource: ResourcePlan) -> tuple[str, str, str]:
    # The package before the type says nothing: `modelops:local:Run` is a Run.
    kind = resource.type.rsplit(":", 1)[-1]
    return _INDENT + kind, resource.name, " ".join(_plain(resource.properties))


def _line(row: tuple[str, str, str], widths: Iterable[int]) -> str:
    cells = [
        cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=False)
    ]
    return _GAP.join([*cells, row[-1]]).rstrip()


def _plain(properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        if isinstance(value, bool):
            yield f"{name}={str(value).lower()}"
        elif isinstance(value, str):
            yield f"{name}={_from_home(value)}"
        elif isinstance(value, (int, float)):
            yield f"{name}={value}"


def _from_home(value: str) -> str:
    """Return a path in the user's home as a shell would take it."""
    home = f"{Path.home()}/"
    return f"~/{value.removeprefix(home)}" if value.startswith(home) else value
