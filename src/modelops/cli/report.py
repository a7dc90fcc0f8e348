"""`mops adaptive report`: a run as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, say
from modelops.cli.run_results import RunId

if TYPE_CHECKING:
    from modelops.analysis.fits import Fit
    from modelops.cli.known_run import NamedRun
    from modelops.report.content import Provenance, ReportContent

_FITS = 3
"""How many of the best trials are shown against the data."""


def report(
    ctx: typer.Context,
    run_id: RunId = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; RUN-ID.html if left out.", metavar="FILE"),
    ] = None,
) -> None:
    """Write a run as one HTML file: loss, parameters, fit, hints, failures, provenance.

    It needs no network and can be sent to others. A run that goes on is shown as it stands.
    """
    from modelops.cli.known_run import named_run
    from modelops.cli.written import warn_if_packed
    from modelops.report.page import report_html, require_packages

    options: Options = ctx.obj
    require_packages()
    with named_run(options, run_id) as named:
        html = report_html(_content(options, named))
    file = output or Path(f"{named.run.run_id}.html")
    data = html.encode()
    file.write_bytes(data)
    warn_if_packed(options, named.chain, file)
    if options.json:
        print_json({"run_id": named.run.run_id, "file": str(file), "bytes": len(data)})
        return
    print_data(str(file))
    say(
        options, f"{len(named.run.records)} trials, {len(data) / 1e6:.1f} MB. Open it in a browser."
    )


def _content(options: Options, named: "NamedRun") -> "ReportContent":
    from modelops.report.content import ReportContent
    from modelops.runner.posterior import read_posterior

    fits, unstored, problem = _fits(named)
    return ReportContent(
        named.run,
        _provenance(options, named),
        fits,
        unstored,
        problem,
        read_posterior(named.store_url, named.run.run_id),
    )


def _fits(named: "NamedRun") -> "tuple[dict[int, Fit], tuple[int, ...], str]":
    """Return how the best trials lie against the data, whose outputs lack, and why there's none."""
    from modelops.analysis.fits import fits_of
    from modelops.core.errors import BundleError

    best = named.run.best[:_FITS]
    if not best:
        return {}, (), ""
    try:
        with named.code() as code:
            outputs = named.outputs(code)
            found = {record.trial.number: outputs.of_trial(record.trial) for record in best}
            stored = {number: returns for number, returns in found.items() if returns is not None}
            fits = fits_of(code, named.run.plan.bundle_ref, list(stored.values()))
    except BundleError as error:
        # The rest of the report needs no code: the bundle may be gone from the registry.
        return {}, (), error.message
    unstored = tuple(number for number, returns in found.items() if returns is None)
    return dict(zip(stored, fits, strict=True)), unstored, ""


def _provenance(options: Options, named: "NamedRun") -> "Provenance":
    from modelops.cli.runs import run_states
    from modelops.cli.spec_file import read_spec
    from modelops.report.content import Provenance
    from modelops.report.repeat import repeat_of
    from modelops.spec.show import to_data

    run, progress = named.run, named.progress
    repeat = repeat_of(run.run_id, run.plan, to_data(read_spec(options)))
    return Provenance(
        state=run_states(named.chain, [progress])[run.run_id],
        message=progress.message,
        started_at=progress.created_at,
        image=_image(named),
        versions=_versions(named),
        spec=repeat.spec,
        file=repeat.file,
        command=repeat.command,
    )


def _image(named: "NamedRun") -> str:
    plan, name = named.chain.plan, named.run.plan.algorithm
    bound = next((item.workers for item in plan.algorithms if item.name == name), None)
    group = next((item for item in plan.worker_groups if item.name == bound), None)
    return "" if group is None or group.image is None else group.image.ref


def _versions(named: "NamedRun") -> dict[str, str]:
    from modelops.runner.results import has_results, read_versions

    if not has_results(named.store_url, named.run.run_id):
        return {}
    return read_versions(named.store_url, named.run.run_id)
