"""`mops dev`: try whether everything works together."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli import images
from modelops.cli.options import Options
from modelops.cli.output import begin_data, print_data, print_json, print_table, say
from modelops.contracts import BundleRef, ContractError, Scalar
from modelops.contracts.canonical import check_scalar
from modelops.core.errors import ModelOpsError, ServiceError, UsageError

if TYPE_CHECKING:
    from modelops.cli.places import EnvironmentPlaces
    from modelops.services.connection_checks import Check
    from modelops.services.dask_check import ClusterCheck
    from modelops.services.smoke_steps import StepOutcome

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Try whether everything works together."
)
app.add_typer(images.app, name="images")

SMOKE_SECONDS = 60.0
CONNECTION_SECONDS = 15.0


@app.command("smoke-test")
def smoke(
    ctx: typer.Context,
    bundle: Annotated[
        str | None,
        typer.Option(
            help="A bundle's directory, or a pinned reference; left out, a small one is made.",
            metavar="DIR|REF",
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(help="Push to this registry instead of the environment's.", metavar="URL"),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="A parameter for the model of --bundle; may be given again.", metavar="NAME=VALUE"
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="How long all of it may take.", metavar="SECONDS", min=1.0)
    ] = SMOKE_SECONDS,
) -> None:
    """Push a bundle, let a worker of the environment fetch and run it, check what comes back.

    Prints each step; exits with 1 and says what to do if one fails. The bundle that it makes stays
    in the repository modelops-smoke-test.
    """
    options: Options = ctx.obj
    given = _bundle(bundle)
    if isinstance(given, BundleRef) and given.host is not None and registry is not None:
        raise UsageError(f"{given} names its registry itself.", hint="Leave --registry out.")
    if given is None and param:
        raise UsageError("--param is for the model of a bundle.", hint="Name it with --bundle.")
    params = dict(_parameter(text) for text in param or ())
    from modelops.cli.places import EnvironmentPlaces
    from modelops.services.smoke_test import SmokeRequest, SmokeTest

    outcomes: list[StepOutcome] = []
    with EnvironmentPlaces(options) as places:
        request = SmokeRequest(
            registry=places.registry,
            scheduler=places.cluster,
            bundle=given,
            params=_middle(places, given) | params,
            elsewhere=registry,
            prefix="" if places.plan is None else places.plan.registry.prefix,
            seconds=timeout,
        )
        for outcome in SmokeTest(request).steps(lambda step: _begin(options, step.value)):
            outcomes.append(outcome)
            if not options.json:
                state = "ok" if outcome.is_ok else "FAILED"
                print_data(f"{state:<8}{outcome.seconds:5.1f} s   {outcome.detail}".rstrip())
    last = outcomes[-1]
    if options.json:
        steps = [outcome.to_json() for outcome in outcomes]
        failed = None if last.is_ok else last.step.value
        print_json({"env": places.env, "ok": last.is_ok, "failed": failed, "steps": steps})
    if not last.is_ok:
        if last.output:
            say(options, last.output.rstrip())
        message = f"The smoke test failed at the step {last.step.value}: {last.reason}"
        raise ServiceError(message, hint=last.hint)
    say(options, "A bundle gets from here to a worker, runs there, and its result comes back.")


@app.command("test-connection")
def connection(
    ctx: typer.Context,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="The address of a scheduler, instead of the environment's.", metavar="ADDRESS"
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="How long all of it may take.", metavar="SECONDS", min=1.0)
    ] = CONNECTION_SECONDS,
) -> None:
    """Connect to Dask; show versions, workers, slots, and whether workers can read the registry.

    Exits with 1 if something isn't well. Certificates are those of the environment, unless the
    variables DASK_DISTRIBUTED__COMM__TLS__… name others.
    """
    from modelops.cli.places import EnvironmentPlaces
    from modelops.services.connection_checks import connection_checks, failed_connection
    from modelops.services.dask_check import check_cluster

    options: Options = ctx.obj
    found: ClusterCheck | None = None
    with EnvironmentPlaces(options) as places:
        groups = () if places.plan is None else places.plan.worker_groups
        grows = bool(groups) and all(group.minimum == 0 for group in groups)
        try:
            cluster = places.cluster() if scheduler is None else places.cluster_at(scheduler)
            found = check_cluster(cluster, timeout)
            checks = connection_checks(found, may_be_empty=grows and scheduler is None)
        except ModelOpsError as error:
            checks = failed_connection(error)
    _print_connection(options, checks, found)
    if not all(check.is_ok for check in checks):
        sys.exit(1)


@app.command("validate-bundle")
def validate(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="The bundle's directory.", metavar="PATH")],
) -> None:
    """Check a bundle as `mops bundle validate` does; nothing of it is run."""
    from modelops.cli.findings import report_findings

    report_findings(ctx.obj, directory)


def _begin(options: Options, step: str) -> None:
    if not options.json:
        begin_data(f"{step:<12}")


def _bundle(text: str | None) -> Path | BundleRef | None:
    if text is None or Path(text).is_dir():
        return None if text is None else Path(text)
    try:
        return BundleRef.parse(text)
    except ContractError as error:
        raise UsageError(
            f"--bundle {text!r} is neither a directory nor a bundle that is pinned by digest.",
            hint=str(error),
        ) from error


def _middle(places: "EnvironmentPlaces", bundle: Path | BundleRef | None) -> dict[str, Scalar]:
    """Return parameters for a bundle of the spec: a point in the middle of its space."""
    for algorithm in () if places.plan is None else places.plan.algorithms:
        source = algorithm.bundle
        is_it = (
            source.directory is not None and source.directory.resolve() == bundle.resolve()
            if isinstance(bundle, Path)
            else bundle is not None and source.ref == bundle
        )
        if is_it:
            return algorithm.space.middle()
    return {}


def _parameter(text: str) -> tuple[str, Scalar]:
    """Read NAME=VALUE: a number or a boolean as in JSON, text otherwise."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--param {text!r} isn't NAME=VALUE.", hint="For example: --param beta=2")
    try:
        found: Any = json.loads(value)
    except ValueError:
        found = value
    return name, _scalar(name, found)


def _scalar(name: str, value: Any) -> Scalar:
    try:
        check_scalar(name, value)
    except ContractError as error:
        raise UsageError(str(error), hint="A parameter is a number, text or a boolean.") from error
    scalar: Scalar = value
    return scalar


def _print_connection(
    options: Options, checks: "list[Check]", found: "ClusterCheck | None"
) -> None:
    workers = () if found is None else found.workers
    if options.json:
        print_json(
            {
                "ok": all(check.is_ok for check in checks),
                "address": "" if found is None else found.address,
                "slots": 0 if found is None else found.slots,
                "versions": {} if found is None else dict(found.versions),
                "checks": [check.to_json() for check in checks],
                "workers": [worker.to_json() for worker in workers],
            }
        )
        return
    rows = [
        (check.name, "ok" if check.is_ok else "FAILED", check.reason or check.detail)
        for check in checks
    ]
    print_table(("check", "state", "detail"), rows)
    if workers:
        print_data("")
        columns = ("worker", "group", "slots", "python", "dask", "modelops", "state")
        print_table(columns, [_worker_row(worker.to_json()) for worker in workers])
    for check in checks:
        if check.hint:
            say(options, check.hint)


def _worker_row(worker: Mapping[str, Any]) -> tuple[str, ...]:
    versions = worker["versions"]
    packages = (versions.get(name, "?") for name in ("python", "distributed", "modelops"))
    state = "ok" if worker["ok"] else "FAILED"
    return (worker["name"], worker["group"], str(worker["slots"]), *packages, state)
