"""`mops logs`: what the parts wrote, one after the other or as it comes."""

import json
import queue
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import typer

from modelops.cli.log_options import Follow, ListParts, LogRequest, Part, Tail
from modelops.cli.options import Options
from modelops.cli.output import INTERRUPTED, QuietExit, print_json, print_table, uses_color
from modelops.cli.runs import is_running, journal_of, progress_of
from modelops.core.background import start
from modelops.core.errors import NotThereError
from modelops.core.near_miss import did_you_mean_or_all
from modelops.infra.chain import StackChain
from modelops.providers.base import RUN_PART, Component, run_part

app = typer.Typer(rich_markup_mode=None)

# How long the runner of a silent run is trusted to be there.
_LOOK_AT_RUNNER_SECONDS = 10.0
# How long it may be quiet before somebody looks for parts that were started meanwhile.
_LOOK_FOR_PARTS_SECONDS = 0.5
_LINES_WAITING = 10_000
_COLORS = (36, 33, 32, 35, 34, 31)
# What would move a terminal's cursor, change its state or the direction of its text.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@app.command("logs")
def logs(
    ctx: typer.Context,
    part: Part = None,
    follow: Follow = False,
    tail: Tail = None,
    list_: ListParts = False,
) -> None:
    """Print what all parts wrote, each line with the part before it; or one part's log as it is."""
    from modelops.cli.session import open_chain

    request = LogRequest(part, follow=follow, tail=tail, only_list=list_)
    print_logs(ctx.obj, open_chain(ctx.obj), request)


def print_logs(options: Options, chain: StackChain, request: LogRequest) -> None:
    """Write the logs that are asked for to stdout.

    Following the log of a run ends with the run; Ctrl-C ends it at any time, with exit code 130.

    Raises:
        NotThereError: if there is no such part, or no log at all.
    """
    plan = chain.provider_plan()
    known = {
        name: component
        for name, component in chain.provider.parts(plan).items()
        if request.component in (None, component)
    }
    if request.only_list:
        _print_list(options, known)
        return
    chosen = _choose(known, request.part)
    write = _writer(options, chosen, with_names=request.part is None)
    with _quiet_interrupt():
        if not request.follow:
            for name in chosen:
                for line in chain.provider.logs(plan, name, tail=request.tail):
                    write(name, line)
        elif request.part is not None and known[chosen[0]] is Component.ADAPTIVE:
            _follow_run(chain, chosen[0], request.tail, write)
        else:
            _follow_all(chain, chosen, request, write)


def print_log(
    options: Options,
    chain: StackChain,
    run_id: str,
    *,
    follow: bool = False,
    tail: int | None = None,
) -> None:
    """Write a run's log to stdout; following it ends with the run.

    Raises:
        NotThereError: if the run or its log isn't there.
    """
    part = run_part(run_id)
    if part not in chain.provider.parts(chain.provider_plan()):
        raise NotThereError(f"The run {run_id!r} has no log.", hint="See: mops adaptive list")
    print_logs(options, chain, LogRequest(part, follow=follow, tail=tail))


def harmless(line: str) -> str:
    """Return a line as a terminal may show it: nothing in it moves the cursor or changes colours.

    Of a line that was written over by carriage returns the last version is shown.
    """
    text = line.rstrip("\r\n")
    return _CONTROL.sub(_visible, text[text.rfind("\r") + 1 :]) + "\n"


def _print_list(options: Options, known: Mapping[str, Component]) -> None:
    if options.json:
        print_json([{"part": name, "stack": str(component)} for name, component in known.items()])
    else:
        print_table(("part", "stack"), [(name, component) for name, component in known.items()])


def _choose(known: Mapping[str, Component], part: str | None) -> list[str]:
    if not known:
        raise NotThereError("No part has a log.", hint="Bring everything up with: mops up")
    if part is None:
        return list(known)
    for name in (part, run_part(part)):
        if name in known:
            return [name]
    raise NotThereError(f"{part} has no log.", hint=did_you_mean_or_all(part, list(known)))


def _writer(options: Options, parts: list[str], *, with_names: bool) -> Callable[[str, str], None]:
    """Return what writes a line of a part: as it is, or for a terminal, or as JSON."""
    width = max(len(part) for part in parts)
    is_terminal = sys.stdout.isatty()
    colors: dict[str, int] = {}

    def name_of(part: str) -> str:
        name = f"{part.ljust(width)} | "
        if not uses_color():
            return name
        color = colors.setdefault(part, _COLORS[len(colors) % len(_COLORS)])
        return f"\x1b[{color}m{name}\x1b[0m"

    def write(part: str, line: str) -> None:
        if options.json:
            sys.stdout.write(json.dumps({"part": part, "line": line.rstrip("\n")}) + "\n")
            return
        text = harmless(line) if is_terminal else line
        sys.stdout.write(f"{name_of(part)}{text}" if with_names else text)

    return write


def _follow_run(
    chain: StackChain, part: str, tail: int | None, write: Callable[[str, str], None]
) -> None:
    run_id = part.removeprefix(RUN_PART)
    lines = chain.provider.logs(chain.provider_plan(), part, follow=True, tail=tail)
    with journal_of(chain, run_id) as journal:
        is_over, looked = False, time.monotonic()
        for line in lines:
            if line:
                write(part, line)
                continue
            sys.stdout.flush()
            if is_over:
                return
            # What was written before this is still to come.
            is_over = progress_of(journal, run_id).finished_at is not None
            if not is_over and time.monotonic() - looked > _LOOK_AT_RUNNER_SECONDS:
                is_over, looked = not is_running(chain, run_id), time.monotonic()


def _follow_all(
    chain: StackChain,
    parts: list[str],
    request: LogRequest,
    write: Callable[[str, str], None],
) -> None:
    """Follow parts at the same time, and those that come later; never ends by itself."""
    arrived = _Arrivals(chain)
    for part in parts:
        arrived.add(part, request.tail)
    while True:
        line = arrived.next(_LOOK_FOR_PARTS_SECONDS)
        if line is not None:
            write(*line)
            continue
        sys.stdout.flush()
        if request.part is None:
            for part, component in chain.provider.parts(chain.provider_plan()).items():
                if request.component in (None, component):
                    arrived.add(part, None)


class _Arrivals:
    """Lines of several parts, as they come."""

    def __init__(self, chain: StackChain) -> None:
        self._provider, self._plan = chain.provider, chain.provider_plan()
        self._parts: set[str] = set()
        self._lines: queue.Queue[tuple[str, str] | Exception] = queue.Queue(_LINES_WAITING)

    def add(self, part: str, tail: int | None) -> None:
        """Follow a part, unless it's followed already."""
        if part not in self._parts:
            self._parts.add(part)
            start(partial(self._pump, part, tail))

    def next(self, seconds: float) -> tuple[str, str] | None:
        """Return a part and its next line; None if nothing comes for so long."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(line, Exception):
            raise line
        return line

    def _pump(self, part: str, tail: int | None) -> None:
        try:
            for line in self._provider.logs(self._plan, part, follow=True, tail=tail):
                if line:
                    self._lines.put((part, line))
        except Exception as error:  # noqa: BLE001 — it is raised again where it can be seen
            self._lines.put(error)


@contextmanager
def _quiet_interrupt() -> Iterator[None]:
    """End with the code of an interrupted command, and without a word."""
    try:
        yield
    except KeyboardInterrupt:
        raise QuietExit(INTERRUPTED) from None
    finally:
        sys.stdout.flush()


def _visible(found: re.Match[str]) -> str:
    """Return a control character as text, those of ASCII as `cat -v` does."""
    code = ord(found[0])
    return f"^{chr(code ^ 0x40)}" if code < 0x80 else f"\\u{code:04x}"
