"""`mops adaptive selftest`: whether a calibration would find what is known."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_json, print_table, say
from modelops.cli.run_results import shown
from modelops.core.errors import RunFailedError, UsageError

if TYPE_CHECKING:
    from modelops.analysis.recovery import Recovery
    from modelops.analysis.run_code import RunCode
    from modelops.bundles.access import RegistryAccess
    from modelops.contracts import RunPlan, Scalar, SimReturn
    from modelops.infra.chain import StackChain
    from modelops.spec.plan import AlgorithmPlan

_TRIALS = 100
_TOLERANCE = 0.1


def selftest(  # noqa: PLR0917 - Typer reads the signature
    ctx: typer.Context,
    algorithm: Annotated[
        str | None, typer.Argument(help="Which algorithm, if there are several.")
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(
            help="The truth, or some of it; what isn't given is drawn.", metavar="JSON|@FILE"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="For what is drawn.", min=0)] = 1,
    trials: Annotated[
        int | None,
        typer.Option(help=f"How many; else the spec's number, at most {_TRIALS}.", min=1),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="How far from the truth a recovered parameter may be, as a share of its range.",
            min=0.0,
            max=1.0,
        ),
    ] = _TOLERANCE,
) -> None:
    """Calibrate against simulated data whose parameters are known: are they found?

    The model simulates the data, at the points and for the targets of the real ones; a run of its
    own calibrates against them, with the spec's plan but for the number of trials. Where the spec
    demands a signature, the bundle must have it; the one that is made of it has none. Exit codes:
    0 every parameter is recovered, 1 one isn't.
    """
    from modelops.analysis.known_run import KnownRun
    from modelops.analysis.recovery import choose_truth, recovery_of
    from modelops.cli import session
    from modelops.cli.registry_place import registry_from
    from modelops.cli.runs import journal_of
    from modelops.providers.base import REGISTRY_BINDINGS, Component

    options: Options = ctx.obj
    chain = session.for_run(session.open_chain(options, operates=True), algorithm, None)
    chosen = chain.plan.algorithms[0]
    truth = choose_truth(chosen.space, seed, _given(params))
    count = min(chosen.n_trials, _TRIALS) if trials is None else trials
    _check_count(chosen, count)
    with chain.reach(Component.REGISTRY, REGISTRY_BINDINGS) as registry:
        chain = session.pushed(chain, options, registry)
        test = _prepared(options, chain, registry_from(registry), truth, seed, count)
    _calibrate(options, test)
    with journal_of(chain, test.run_id) as journal:
        run = KnownRun.read(journal, test.run_id)
    found = recovery_of(run, truth, test.true_loss, tolerance)
    if options.json:
        print_json({"run_id": test.run_id, "trials": len(run.records), **_recovery_json(found)})
    else:
        _print_recovery(found)
    say(options, _conclusion(found))
    say(options, f"More of it: mops adaptive report --run-id {test.run_id}")
    if not found.is_recovered:
        sys.exit(1)


def _check_count(algorithm: "AlgorithmPlan", count: int) -> None:
    """Check that an algorithm's options fit the number of trials, which isn't the spec's.

    Raises:
        UsageError: if they don't.
    """
    from modelops.algorithms.discovery import check_options
    from modelops.contracts import AlgorithmSettings

    settings = AlgorithmSettings(
        seed=algorithm.seed,
        n_trials=count,
        n_parallel=min(algorithm.n_parallel, count),
        options=algorithm.options,
    )
    problems = check_options(algorithm.type, algorithm.space, settings)
    if problems:
        what = "; ".join(problem.message.rstrip(".") for problem in problems)
        raise UsageError(
            f"A self-test of {count} trials doesn't suit {algorithm.name} ({algorithm.type}): "
            f"{what}.",
            hint=f"Give it more: mops adaptive selftest {algorithm.name} --trials "
            f"{max(algorithm.n_trials, count)}",
        )


@dataclass(frozen=True)
class _SelfTest:
    """A self-test whose data are there.

    Attributes:
        chain: with its run only.
        name: of the algorithm.
        run_id: of its run.
        true_loss: the loss of the parameters that the data were simulated with.
    """

    chain: "StackChain"
    name: str
    run_id: str
    true_loss: float


def _given(params: str | None) -> "dict[str, Scalar]":
    from modelops.contracts.canonical import check_scalar

    if params is None:
        return {}
    how = "Give an object: --params '{\"beta\": 0.3}', or --params @FILE."
    try:
        text = Path(params[1:]).read_text(encoding="utf-8") if params.startswith("@") else params
        found: Any = json.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"--params can't be read: {error}", hint=how) from error
    if not isinstance(found, dict):
        raise UsageError("--params isn't an object.", hint=how)
    for name, value in found.items():
        check_scalar(name, value)
    return found


def _prepared(  # noqa: PLR0917
    options: Options,
    chain: "StackChain",
    registry: "RegistryAccess",
    truth: "Mapping[str, Scalar]",
    seed: int,
    count: int,
) -> _SelfTest:
    """Simulate the data and push a bundle that has them in the place of the observed ones.

    Raises:
        SignatureError: if the spec demands a signature that the bundle hasn't.
    """
    import tempfile
    from contextlib import closing

    from modelops.analysis.fits import fits_of
    from modelops.analysis.run_code import open_code
    from modelops.analysis.selftest_bundle import simulated_values, write_selftest_bundle
    from modelops.bundles.packing import pack
    from modelops.bundles.stores import open_store
    from modelops.cli.session import repository_of
    from modelops.providers.base import run_plans
    from modelops.spec.plan import BundleSource

    ((_, plan),) = run_plans(chain.plan)
    with (
        open_code(plan, registry) as code,
        tempfile.TemporaryDirectory(prefix="mops-selftest-") as folder,
    ):
        say(options, f"simulating with {_words(truth)}")
        data, *again = _simulated(chain, plan, code, truth, seed)
        (fit,) = fits_of(code, plan.bundle_ref, [[data]])
        if fit.failure is not None:
            raise RunFailedError(
                f"The targets can't take what the model simulated: {fit.failure.message}",
                hint=fit.failure.details,
            )
        derived = write_selftest_bundle(Path(folder) / "bundle", code, simulated_values(fit.points))
        packed = pack(derived.folder)
        repository = f"{repository_of(chain.plan, packed.name)}-selftest"
        ref = open_store(registry).push(repository, packed)
        with closing(derived.evaluator()) as evaluator:
            (outcome,) = evaluator.evaluate([[dict(item.tables) for item in again]])
        if outcome.failure is not None:
            raise RunFailedError(
                f"The truth itself has no loss: {outcome.failure.message}",
                hint=outcome.failure.details,
            )
    chosen = chain.plan.algorithms[0]
    changed = replace(
        chosen,
        bundle=BundleSource(ref=ref),
        # Nobody signed the derived bundle. It was made here, of one whose signature was checked,
        # and its digest pins it.
        public_key=None,
        n_trials=count,
        n_parallel=min(chosen.n_parallel, count),
    )
    run_id = f"selftest-{changed.pinned(ref).default_run_id().rpartition('-')[2]}"
    algorithms = (replace(changed, run_id=run_id),)
    chain = replace(chain, plan=replace(chain.plan, algorithms=algorithms))
    return _SelfTest(chain, chosen.name, run_id, outcome.loss)


def _simulated(
    chain: "StackChain", plan: "RunPlan", code: "RunCode", truth: "Mapping[str, Scalar]", seed: int
) -> "Sequence[SimReturn]":
    """Simulate the truth: first the data, then as a trial of the run would."""
    from modelops.cli.workers import fresh_service
    from modelops.contracts import derive_seed, make_param_id

    param_id = make_param_id(truth)
    # A replicate that no trial has, so that the data's own noise isn't found again.
    seeds = [derive_seed(seed, param_id, plan.replicates)]
    seeds += [derive_seed(plan.seed, param_id, number) for number in range(plan.replicates)]
    with fresh_service(chain, plan) as service:
        returns = service.gather(
            [service.submit(code.fn_ref, truth, each, bundle_ref=plan.bundle_ref) for each in seeds]
        )
    for item in returns:
        if item.failure is not None:
            raise RunFailedError(
                f"The model fails with {_words(truth)}: {item.failure.message}",
                hint="Give other parameters, with --params or another --seed.",
            )
    return returns


def _calibrate(options: Options, test: _SelfTest) -> None:
    """Carry the run out to its end, and take its stack down; its journal and results stay."""
    from modelops.cli.advice import ended_badly
    from modelops.cli.beginning import await_begun
    from modelops.cli.progress import follow
    from modelops.cli.runs import refuse_other_plan
    from modelops.providers.base import Component
    from modelops.runner.progress import RunState

    refuse_other_plan(test.chain)
    test.chain.up_run(test.name)
    await_begun(test.chain, [test.run_id], lambda line: say(options, f"  {line}"))
    progress = follow(options, test.chain, test.run_id)
    if progress.state is not RunState.FINISHED:
        raise ended_badly(progress)
    test.chain.down(Component.ADAPTIVE, test.run_id)


def _print_recovery(found: "Recovery") -> None:
    print_table(
        ("parameter", "truth", "found", "off by", "width", "verdict"),
        [
            (
                item.name,
                shown(item.truth),
                shown(item.found),
                f"{item.distance:.1%}",
                "" if item.width is None else f"{item.width:.0%}",
                item.verdict.value,
            )
            for item in found.parameters
        ],
    )


def _conclusion(found: "Recovery") -> str:
    from modelops.analysis.recovery import Verdict

    losses = f"The best loss is {found.best_loss:.6g}, that of the truth {found.true_loss:.6g}."
    if found.is_recovered:
        return f"Every parameter is recovered. {losses}"
    advice = {
        Verdict.BY_CHANCE: "is near the truth by chance: other good trials have it anywhere",
        Verdict.NOT_IDENTIFIED: "isn't fixed by these data: other values fit as well as the truth",
        Verdict.NOT_FOUND: "wasn't found, though the truth fits better: try more trials",
    }
    lines = [losses]
    for verdict, words in advice.items():
        names = [item.name for item in found.parameters if item.verdict is verdict]
        lines += [f"{name} {words}." for name in names]
    return "\n".join(lines)


def _recovery_json(found: "Recovery") -> dict[str, Any]:
    return {
        "recovered": found.is_recovered,
        "best_loss": found.best_loss,
        "true_loss": found.true_loss,
        "tolerance": found.tolerance,
        "parameters": [
            {
                "name": item.name,
                "truth": item.truth,
                "found": item.found,
                "distance": item.distance,
                "width": item.width,
                "verdict": item.verdict.value,
            }
            for item in found.parameters
        ],
    }


def _words(params: "Mapping[str, Scalar]") -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in params.items())
