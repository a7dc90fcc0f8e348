"""`mops bundle check`: whether a model is a function of its parameters and seed."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.core.errors import UsageError

if TYPE_CHECKING:
    from modelops.contracts import BundleRef, Scalar
    from modelops.spec.plan import AlgorithmPlan
    from modelops.worker.conditions import Condition
    from modelops.worker.reproducibility import Progress

_SEED = 1
_HOW = "Give parameters: --params '{\"beta\": 0.3}', --params @FILE (one object or a list of them)."


def check(  # noqa: PLR0917 — Typer reads the signature
    ctx: typer.Context,
    bundle: Annotated[
        str, typer.Argument(help="The bundle's directory or reference.", metavar="DIR|REF")
    ] = ".",
    model: Annotated[
        str | None, typer.Option(help="The model's id; the entrypoint if left out.", metavar="ID")
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(
            help="Parameters: an object or a list of objects. Else some of the spec's space.",
            metavar="JSON|@FILE",
        ),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="Take model and space of this algorithm of the spec.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The seed of each simulation; else as a run would have it.")
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="Try this condition only; may be given again.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that a simulation may take.", min=0.1)
    ] = 60.0,
) -> None:
    """Run a model under different conditions: is it a function of (params, seed)?

    It is run twice or more, each time with another hash seed, directory, number of threads, time
    zone, process or order, and every result is compared bit for bit. What differs is shown, with
    the condition that it depends on. Exit codes: 0 the same everywhere, 1 it differs, 2 the
    command or the bundle is wrong.
    """
    from modelops.bundles.discovery import resolve_model
    from modelops.bundles.suspects import find_suspects
    from modelops.bundles.validate import refuse_invalid
    from modelops.cli.check_report import print_report
    from modelops.contracts import SimTask, derive_seed, make_param_id
    from modelops.worker.reproducibility import check_model

    options: Options = ctx.obj
    conditions = _conditions(condition)
    directory, ref = _locate(options, bundle)
    refuse_invalid(directory)
    points: Sequence[Mapping[str, Scalar]]
    if params is None:
        chosen = _algorithm(options, directory, ref, algorithm, model)
        model, points = chosen.model, _points_of(options, chosen)
    else:
        points = _parse_params(params)
    fn_ref = resolve_model(directory, model)
    tasks = []
    for point in {make_param_id(point): point for point in points}.values():
        own = derive_seed(_SEED, make_param_id(point), 0) if seed is None else seed
        tasks.append(SimTask(ref, fn_ref, point, own))
    with _progress(options) as progress:
        report = check_model(directory, tasks, conditions, timeout=timeout, progress=progress)
    suspects = [] if report.is_same else find_suspects(directory)
    print_report(options, report, directory, suspects)
    if not (report.is_same and report.has_result):
        sys.exit(1)


def _conditions(names: Sequence[str] | None) -> "Sequence[Condition]":
    from modelops.core.near_miss import did_you_mean_or_all
    from modelops.worker.conditions import CONDITIONS

    known = {condition.name: condition for condition in CONDITIONS}
    for name in names or ():
        if name not in known:
            raise UsageError(
                f"There is no condition {name!r}.", hint=did_you_mean_or_all(name, known)
            )
    return [known[name] for name in names or known]


def _locate(options: Options, bundle: str) -> "tuple[Path, BundleRef]":
    """Return where the bundle's files are, and its reference; one of a registry is fetched."""
    from modelops.bundles.cache import BundleCache
    from modelops.bundles.packing import pack
    from modelops.bundles.stores import resolve, store_of
    from modelops.cli.bundle_place import BundlePlace
    from modelops.cli.registry_place import registry_for
    from modelops.contracts import BundleRef, ContractError, parse_reference
    from modelops.core.settings import Home

    directory = Path(bundle)
    if directory.exists():
        packed = pack(directory)
        return directory, BundleRef(packed.name, packed.digest)
    try:
        wanted = parse_reference(bundle)
    except ContractError as error:
        raise UsageError(
            f"There is no directory {bundle}, and it's no reference: {error}"
        ) from None
    with registry_for(wanted, BundlePlace.of(options).env) as access:
        ref = resolve(wanted, access)
        return BundleCache(Home.current().bundle_cache).fetch(ref, store_of(ref, access)), ref


def _parse_params(text: str) -> "list[dict[str, Scalar]]":
    from modelops.contracts.canonical import check_scalar

    try:
        given = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        content: Any = json.loads(given)
    except (OSError, ValueError) as error:
        raise UsageError(f"--params can't be read: {error}", hint=_HOW) from error
    points = content if isinstance(content, list) else [content]
    if not points or not all(isinstance(point, dict) for point in points):
        raise UsageError("--params is neither an object nor a list of objects.", hint=_HOW)
    for point in points:
        for name, value in point.items():
            check_scalar(name, value)
    return points


def _algorithm(
    options: Options, directory: Path, ref: "BundleRef", name: str | None, model: str | None
) -> "AlgorithmPlan":
    """Return the algorithm of a spec that says which parameters the model has."""
    from modelops.cli.session import choose_algorithm
    from modelops.cli.spec_file import compile_plan

    specs = [path for path in (options.config, directory / "runtime.yaml") if path.is_file()]
    for path in specs:
        plan = compile_plan(replace(options, config=path), check_bundles=False)
        if name is not None:
            return choose_algorithm(plan, name)
        for algorithm in plan.algorithms:
            source = algorithm.bundle
            is_ours = (
                source.directory.resolve() == directory.resolve()
                if source.directory
                else source.ref is not None and source.ref.digest == ref.digest
            )
            if is_ours and model in (None, algorithm.model):
                return algorithm
    looked = f"no algorithm of {' or '.join(map(str, specs))} runs it" if specs else "no spec"
    raise UsageError(f"Which parameters does the model have? There is {looked}.", hint=_HOW)


def _points_of(options: Options, algorithm: "AlgorithmPlan") -> "list[dict[str, Scalar]]":
    from modelops.worker.sample_points import sample_points

    points = sample_points(algorithm.space)
    say(options, f"{len(points)} points of the space of spec.algorithms.{algorithm.name}")
    return points


@contextmanager
def _progress(options: Options) -> "Iterator[Progress]":
    """Yield what shows a line on a terminal that says what runs."""
    if options.quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda condition, setting: status.update(
            f"{condition.name}: {setting.words}" if condition else "the reference"
        )
