"""What a report is made of, made up: runs of any size, with texts that would like to be markup."""

from __future__ import annotations

import datetime
import math
import random

import pyarrow as pa

from modelops.analysis.fits import Fit
from modelops.analysis.known_run import KnownRun
from modelops.contracts import (
    CategoricalParameter,
    FailureReason,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Particle,
    Population,
    Posterior,
    Scalar,
    SearchSpace,
    SimFailure,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.report.content import Provenance, ReportContent
from modelops.runner.posterior import posterior_table
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from stored_run import ENDED, make_plan

MARKUP = (
    "</script><script>document.title='pwned'</script>"
    "<img src=x onerror=\"document.title='pwned'\">'\"&amp;<!--"
)
SPACE = SearchSpace(
    {
        "beta": FloatParameter(1e-3, 1.0, log=True),
        f"n {MARKUP}": IntParameter(1, 50),
        "scenario": CategoricalParameter(("a", 1, True, MARKUP)),
        "k": FloatParameter(-5.0, 5.0),
        "fixed": FixedParameter(MARKUP),
    }
)


def made_run(
    trials: int, failing: float = 0.1, space: SearchSpace = SPACE, name: str = "run"
) -> KnownRun:
    chance = random.Random(1)
    plan = make_plan(replicates=5, n_trials=max(trials, 1), space=space, targets=("cases", MARKUP))
    records = []
    for number in range(trials):
        params = {key: _value(chance, parameter) for key, parameter in space.parameters.items()}
        trial = Trial.planned(plan, UniqueParameterSet.from_dict(params, trial=number))
        loss = (float(str(params["k"])) - 4.0) ** 2 + chance.random()
        outcome = TrialOutcome(TrialStatus.COMPLETED, loss, {"cases": loss})
        if chance.random() < failing:
            outcome = TrialOutcome(TrialStatus.FAILED, reason="model", message=MARKUP)
        records.append(TrialRecord(trial, outcome, ENDED))
    return KnownRun(name, plan, tuple(records))


def _value(chance: random.Random, parameter: object) -> Scalar:
    match parameter:
        case FloatParameter(low, high, log):
            place = chance.random()
            return low * (high / low) ** place if log else low + (high - low) * place
        case IntParameter(low, high):
            return chance.randint(low, high)
        case CategoricalParameter(choices):
            return chance.choice(choices)
        case FixedParameter(value):
            return value
    raise AssertionError(parameter)


def made_fits(run: KnownRun, points: int = 40) -> dict[int, Fit]:
    return {record.trial.number: Fit(_points(points)) for record in run.best[:3]}


def _points(points: int) -> dict[str, pa.Table]:
    chance = random.Random(2)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=day) for day in range(points)]
    curve = [100 * math.exp(-(((day - points / 2) / 8) ** 2)) for day in range(points)]
    series = {
        "key.day": days * 2,
        "key.region": [MARKUP] * points + ["south"] * points,
        "observed": curve * 2,
        **{f"replicate.{n}": [y * chance.gauss(1, 0.1) for y in curve * 2] for n in range(5)},
    }
    ages = {
        "key.age": ["0-4", MARKUP, "18+"],
        "observed": [3.0, 4.0, 5.0],
        **{f"replicate.{n}": [chance.gauss(3, 0.2), 4.1, math.nan] for n in range(5)},
    }
    single = {"observed": [2.5], **{f"replicate.{n}": [2.0 + n / 5] for n in range(5)}}
    return {"cases": pa.table(series), "by age": pa.table(ages), MARKUP: pa.table(single)}


def made_posterior(run: KnownRun) -> pa.Table:
    best = run.best[:100]
    particles = tuple(
        Particle(record.trial.number, record.trial.parameters.params, 1 / len(best), 1.0)
        for record in best
    )
    populations = (
        Population(2, None, 90.0, 0.5, particles[:1]),
        Population(3, 0.25, 87.5, 0.25, particles),
    )
    return posterior_table(run.plan.space, Posterior(populations))


def made_content(run: KnownRun) -> ReportContent:
    """All that a report can have, wherever text goes."""
    provenance = Provenance(
        state="finished",
        message=MARKUP,
        started_at=ENDED,
        image=MARKUP,
        versions={"python": MARKUP},
        spec=MARKUP,
        file=MARKUP,
        command=MARKUP,
    )
    fits = made_fits(run)
    failed = Fit({}, SimFailure(FailureReason.MODEL, MARKUP))
    posterior = made_posterior(run) if run.best else None
    return ReportContent(run, provenance, {**fits, 10**6: failed}, (4, 5), MARKUP, posterior)
