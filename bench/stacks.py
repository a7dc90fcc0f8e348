"""`mops up` of the four local stacks when nothing is to do, beside four bare runs of the engine.

The baseline is the engine's own `up` of the same stacks with the same programs, one after the
other, and nothing but the engine's process: no start of Python, no selecting, no outputs. They
are up and healthy in a home of their own, since the engine by itself gives each stack a key of its
own. Beside it what the Automation API takes as it comes, and a cold `mops up` with its parts.

Bar: at most 1.3 times the bare runs.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from pulumi import automation as auto

from modelops.cli.options import Options
from modelops.cli.session import open_chain, pinned_by_content
from modelops.core.automation import find_engine, open_workspace
from modelops.infra.chain import StackChain
from modelops.infra.stack import PulumiStack
from modelops.providers.base import Component, StackPlan

RUNS = 5
BAR = 1.3
MOPS = str(Path(sys.executable).with_name("mops"))
_ORDER = tuple(Component)
_UNCHANGED = re.compile(r"modelops-\S+: \d+ unchanged")


class TimedEngine(auto.PulumiCommand):
    """An engine as the Automation API runs it, that notes how long each `up` took."""

    def __init__(self) -> None:
        super().__init__(root=str(Path(find_engine().command).parent.parent))
        self.seconds: list[float] = []

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> auto.CommandResult:
        """Run a command."""
        start = time.perf_counter()
        is_up = "up" in args
        result = super().run(args, cwd, additional_env, on_output, on_error)
        if is_up:
            self.seconds.append(time.perf_counter() - start)
        return result


def mops(folder: Path, *arguments: str) -> list[tuple[float, str]]:
    """Run mops; return the lines of its messages, each with the seconds since its start."""
    start = time.perf_counter()
    lines: list[tuple[float, str]] = []
    with subprocess.Popen(
        [MOPS, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        lines += [(time.perf_counter() - start, line.strip()) for line in process.stderr or ()]
    if process.returncode:
        sys.stderr.write("\n".join(line for _, line in lines) + "\n")
        raise SystemExit(f"mops {' '.join(arguments)} exited with {process.returncode}")
    return [*lines, (time.perf_counter() - start, "done")]


def bare_up(chain: StackChain) -> tuple[float, float]:
    """Run each stack's `up` by the plain Automation API; return the engine's time and the whole."""
    engine = TimedEngine()
    start = time.perf_counter()
    for plan in chain.provider_plan().stacks:
        changes = _plain_up(chain, plan, engine)
        if set(changes) != {"same"}:
            raise SystemExit(f"the baseline isn't a no-op: {plan.component} {changes}")
    return sum(engine.seconds), time.perf_counter() - start


def _plain_up(chain: StackChain, plan: StackPlan, engine: TimedEngine) -> Mapping[str, int]:
    position = _ORDER.index(plan.component)
    upstream = _ORDER[position - 1] if position else None
    stack = PulumiStack(chain.naming, chain.home, plan.component, plan.run_id)
    program = stack.program(plan, chain.provider, upstream)
    project = chain.naming.project(plan.component)
    with tempfile.TemporaryDirectory() as folder:
        # Only for its environment and backend; no settings of ours are in the folder.
        workspace = open_workspace(chain.home, project, Path(folder), program)
        workspace.pulumi_command = engine
        result = auto.Stack.select(stack.name, workspace).up()
    return result.summary.resource_changes or {}


def refuse_changes(lines: Iterable[str]) -> None:
    """End the bench if an `up` that should find nothing to do changed something."""
    stacks = [line for line in lines if line.startswith("modelops-")]
    if len(stacks) != len(_ORDER) or not all(_UNCHANGED.fullmatch(line) for line in stacks):
        raise SystemExit(f"mops up isn't a no-op: {stacks}")


@contextmanager
def project_up(home: Path) -> Iterator[tuple[Path, list[tuple[float, str]]]]:
    """Give a starter project whose run has ended, and the messages of its first `up`."""
    os.environ["MODELOPS_HOME"] = str(home)
    folder = home.with_name(f"{home.name}-project")
    mops(home.parent, "init", str(folder), "--quiet")
    spec = folder / "runtime.yaml"
    spec.write_text(spec.read_text().replace("n_trials: 100", "n_trials: 4"))
    try:
        cold = mops(folder, "up")
        mops(folder, "adaptive", "status", "--watch")
        yield folder, cold
    finally:
        os.environ["MODELOPS_HOME"] = str(home)
        mops(folder, "down", "--delete-data", "--yes", "--quiet")


def main() -> int:
    """Print the figures as JSON objects; return 1 if the bar falls."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        ours, bare = Path(scratch) / "ours", Path(scratch) / "bare"
        with project_up(ours) as (folder, cold), project_up(bare) as (bare_folder, _):
            chain = pinned_by_content(open_chain(Options(config=bare_folder / "runtime.yaml")))
            bare_up(chain)
            engine, naive, figures = [], [], []
            os.environ["MODELOPS_HOME"] = str(ours)
            mops(folder, "status", "--exit-code")
            for _ in range(RUNS):
                os.environ["MODELOPS_HOME"] = str(ours)
                said = mops(folder, "up")
                refuse_changes(line for _, line in said)
                figures.append(said[-1][0])
                os.environ["MODELOPS_HOME"] = str(bare)
                seconds, whole = bare_up(chain)
                engine.append(seconds)
                naive.append(whole)
    return report(median(figures), median(engine), median(naive), cold)


def report(value: float, engine: float, naive: float, cold: list[tuple[float, str]]) -> int:
    """Print one line a figure."""
    holds = value <= BAR * engine
    figure("no-op mops up, four stacks", value, engine, BAR, holds=holds)
    figure("plain Automation API, four stacks", naive, engine, None)
    figure("cold mops up", cold[-1][0], engine, None)
    before = 0.0
    for seconds, line in cold:
        # A stack's own line ends its part; what is before it belongs to it.
        if ": " in line and line.endswith(("created", "unchanged")):
            figure(f"cold mops up: {line.partition(':')[0]}", seconds - before, cold[-1][0], None)
            before = seconds
    return 0 if holds else 1


def figure(
    name: str, value: float, baseline: float, bar: float | None, *, holds: bool = True
) -> None:
    """Print one figure, with its bar as a ratio to the baseline."""
    line = {
        "name": name,
        "value": round(value, 3),
        "unit": "s",
        "baseline": round(baseline, 3),
        "ratio": round(value / baseline, 2),
        "bar": bar,
        "holds": holds,
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
