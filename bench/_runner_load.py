"""How busy a run keeps the workers, and what a study costs that was carried out before."""

import math
import random
import time
from collections.abc import Callable
from statistics import median

import optuna
from _figures import figure
from _runner_case import (
    REPLICATES,
    RunnerCase,
    Timed,
    carry_out,
    evaluator,
    make_plan,
    model_service,
)

from modelops.contracts import RunPlan

SLOTS, MEAN, SIGMA = 8, 0.2, 0.5
TRIALS, ROUNDS = 400, 3
AGAIN_TRIALS, SECONDS = 200, 0.1
BUSY_BAR, AGAIN_BAR = 0.95, 0.05


def nap(seed: int) -> float:
    """Return how long the simulation of a seed takes: log-normal, in seconds."""
    return MEAN * math.exp(random.Random(seed).gauss(0.0, SIGMA) - SIGMA**2 / 2)


def measure_busy(case: RunnerCase) -> list[bool]:
    """Simulations of different lengths, beside the same in batches, and by Optuna's own threads."""
    plan = make_plan(case.count(TRIALS), n_parallel=4 * SLOTS, replicates=1)
    ours, batches, threads = [], [], []
    for round_ in range(ROUNDS):
        ours.append(_busy(case, plan, f"window-{round_}"))
        batches.append(_busy_in_batches(case, plan))
        threads.append(_busy_by_optuna(plan))
    return [
        figure(
            "share of the time that slots are busy / one batch after the other",
            median(ours),
            "1",
            baseline=median(batches),
        ),
        figure(
            "share of the time that slots are busy",
            median(ours),
            "1",
            bar=BUSY_BAR,
            at_least=True,
        ),
        figure("share of the time that Optuna's n_jobs are busy", median(threads), "1"),
    ]


def _busy(case: RunnerCase, plan: RunPlan, name: str) -> float:
    with model_service(case, SLOTS) as service, evaluator() as found:
        _warm(service.submit, case)
        start = time.perf_counter()
        seeds: list[int] = []
        carry_out(
            plan,
            f"sqlite:///{case.folder / name}.db",
            algorithm=Timed.of(plan),
            service=service,
            evaluator=found,
            bundle_ref=case.bundle_ref,
            fn_ref="model:naps",
            seeds=seeds,
        )
        return _share(seeds, time.perf_counter() - start)


def _busy_in_batches(case: RunnerCase, plan: RunPlan) -> float:
    """As many trials as are under way above are awaited before the next are asked for."""
    with model_service(case, SLOTS) as service:
        _warm(service.submit, case)
        algorithm = Timed.of(plan)
        start = time.perf_counter()
        seeds = list(range(plan.n_trials))
        for first in range(0, plan.n_trials, plan.n_parallel):
            asked = algorithm.ask(plan.n_parallel)
            service.gather(
                [
                    service.submit(
                        "model:naps", each.params, first + index, bundle_ref=case.bundle_ref
                    )
                    for index, each in enumerate(asked)
                ]
            )
        return _share(seeds, time.perf_counter() - start)


def _busy_by_optuna(plan: RunPlan) -> float:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        time.sleep(nap(trial.number))
        return (x - 0.3) ** 2

    start = time.perf_counter()
    study.optimize(objective, n_trials=plan.n_trials, n_jobs=SLOTS)
    return _share(list(range(plan.n_trials)), time.perf_counter() - start)


def _share(seeds: list[int], seconds: float) -> float:
    return sum(map(nap, seeds)) / (SLOTS * seconds)


def _warm(submit: Callable[..., object], case: RunnerCase) -> None:
    futures = [
        submit("model:waits", {"seconds": 0.2}, seed, bundle_ref=case.bundle_ref)
        for seed in range(2 * SLOTS)
    ]
    for future in futures:
        future.result()  # type: ignore[attr-defined]


def measure_again(case: RunnerCase) -> list[bool]:
    """A study that was finished, run again under another name: all simulations are found."""
    plan = make_plan(case.count(AGAIN_TRIALS), n_parallel=4 * SLOTS)
    store = (case.folder / "store").as_uri()
    taken, simulated = [], []
    for name in ("first", "again"):
        with model_service(case, SLOTS, store) as service, evaluator() as found:
            algorithm = Timed.of(plan)
            before = case.calls()
            start = time.perf_counter()
            carry_out(
                plan,
                f"sqlite:///{case.folder / name}.db",
                algorithm=algorithm,
                service=service,
                evaluator=found,
                bundle_ref=case.bundle_ref,
                fn_ref="model:takes_100_ms",
            )
            taken.append(time.perf_counter() - start - algorithm.seconds)
            simulated.append(case.calls() - before)
    if simulated != [plan.n_trials * REPLICATES, 0]:
        raise SystemExit(f"{simulated} simulations were run the first and the second time")
    return [
        figure(
            f"a finished study again, {plan.n_trials * REPLICATES} simulations of 100 ms / first",
            taken[1],
            "s",
            baseline=taken[0],
            bar=AGAIN_BAR,
        )
    ]
