import datetime
import json
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    RunContext,
    SnapshotError,
    TrialOrder,
    TrialStatus,
)
from modelops.runner import snapshots
from modelops.runner.driver import RunDriver, RunInterruptedError
from modelops.runner.holder import Holder
from modelops.runner.journal import Journal
from modelops.runner.leases import LeaseLostError
from modelops.runner.records import History, TrialOutcome
from modelops.runner.snapshots import Position, Seen, Snapshot, Snapshots
from unit.runner.simulated_run import (
    ChainAlgorithm,
    KeptAlgorithm,
    SimulatedRun,
    follow,
    history_of,
    make_plan,
)
from unit.runner.test_driver import Evaluator, Observer, ThreadedService

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)

sizes = st.fixed_dictionaries(
    {
        "n_trials": st.integers(1, 12),
        "n_parallel": st.integers(1, 6),
        "replicates": st.integers(1, 2),
        "order": st.sampled_from(TrialOrder),
    }
)


def seen_by(run: SimulatedRun, history: History) -> list[tuple[object, ...]]:
    """The calls of a run, up to the first that the history doesn't have."""
    calls = []
    for call in run.calls:
        known = history.asked if call[0] == "ask" else history.ended
        if call[1] not in known:
            break
        calls.append(call)
    return calls


@given(sizes, st.none() | st.integers(1, 5), st.integers(0, 2**32), st.data())
def test_a_run_that_begins_with_a_snapshot_is_the_same(
    size: dict[str, int], generation: int | None, seed: int, data: st.DataObject
) -> None:
    plan = make_plan(**size)
    reference = follow(
        plan, ChainAlgorithm(plan.n_trials, generation), random.Random(seed).randrange
    )
    cut = data.draw(st.integers(0, len(reference.journal)))
    history = history_of(reference.journal[:cut])
    calls = seen_by(reference, history)
    calls = calls[: data.draw(st.integers(0, len(calls)))]
    algorithm = KeptAlgorithm(plan.n_trials, generation)
    algorithm.restore(json.dumps(calls).encode())
    told = sum(call[0] == "tell" for call in calls)
    begin_at = Position(len(calls) - told, told)

    choose = random.Random(seed + 1).randrange
    again = follow(plan, algorithm, choose, history=history, begin_at=begin_at)

    assert again.calls[: len(calls)] == calls
    assert not {item.trial for item in again.submitted} & set(history.ended)
    if plan.order is TrialOrder.ASK:
        assert again.stop == reference.stop
        assert again.calls == reference.calls
    else:
        last = max((("ask", number) for number in history.asked), default=None)
        recorded = 1 + [call[:2] for call in reference.calls].index(last) if last else 0
        assert again.calls[:recorded] == reference.calls[:recorded]


@pytest.fixture
def run(journal: Journal) -> Journal:
    journal.begin("run", make_plan(), NOW)
    return journal


def test_a_journal_keeps_the_last_snapshot(run: Journal) -> None:
    assert run.snapshot("run") is None
    for number in (1, 2):
        run.save_snapshot("run", Snapshot(number, 0, "d" * 64, bytes([0, 255, number])))
    assert run.snapshot("run") == Snapshot(2, 0, "d" * 64, b"\x00\xff\x02")
    assert run.delete("run")
    assert run.snapshot("run") is None


def test_who_lost_a_run_keeps_no_snapshot_of_it(run: Journal, url: str) -> None:
    run.acquire("run", replace(Holder.current(), host="another"), -1.0)
    with Journal.open(url) as other:
        other.acquire("run", Holder.current(), 30.0)
    with pytest.raises(LeaseLostError):
        run.save_snapshot("run", Snapshot(1, 0, "d" * 64, b""))


class StopsAfter(Observer):
    """Interrupts a run once so many trials have ended."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.driver: RunDriver | None = None
        self._left = count

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        self._left -= 1
        if self._left == 0 and self.driver is not None:
            self.driver.interrupt()


def carry_out(journal: Journal, algorithm: ChainAlgorithm, observer: Observer) -> None:
    plan = make_plan(n_trials=30, n_parallel=4, replicates=1)
    service = ThreadedService()
    journal.begin("run", plan, NOW)
    driver = RunDriver(
        plan,
        RunContext("run", {}),
        "model:simulate",
        algorithm=algorithm,
        service=service,
        evaluator=Evaluator(),
        journal=journal,
        clock=lambda: NOW,
        observer=observer,
    )
    if isinstance(observer, StopsAfter):
        observer.driver = driver
    try:
        driver.run()
    finally:
        service.close()


@pytest.fixture
def reference() -> list[tuple[object, ...]]:
    algorithm = ChainAlgorithm(30)
    with Journal.open("sqlite://") as journal:
        carry_out(journal, algorithm, Observer())
    return algorithm.calls


@pytest.fixture
def interrupted(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A journal of a run that was interrupted half-way, with a snapshot."""
    monkeypatch.setattr(snapshots, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(snapshots, "_TIMES_ITS_COST", 0.0)
    with pytest.raises(RunInterruptedError):
        carry_out(journal, KeptAlgorithm(30), StopsAfter(15))
    return journal


def test_an_interrupted_run_asks_for_the_rest_alone(
    interrupted: Journal, reference: list[tuple[object, ...]]
) -> None:
    kept = interrupted.snapshot("run")
    assert kept is not None
    assert kept.asked > 4
    algorithm, observer = KeptAlgorithm(30), Observer()
    carry_out(interrupted, algorithm, observer)
    assert algorithm.calls == reference
    assert algorithm.asks == 30 - kept.asked
    assert isinstance(observer.seen[0], tuple)
    assert observer.seen[0][3] == kept.asked


@pytest.mark.parametrize(
    "change",
    [
        {"state": b"\xff"},
        {"digest": "0" * 64},
        {"asked": 3},
        {"asked": 1000},
        {"told": 1000},
    ],
    ids=["damaged", "of other trials", "of fewer trials", "of more asked", "of more told"],
)
def test_a_snapshot_that_does_not_fit_is_passed_over(
    interrupted: Journal, reference: list[tuple[object, ...]], change: Mapping[str, object]
) -> None:
    kept = interrupted.snapshot("run")
    assert kept is not None
    interrupted.save_snapshot("run", replace(kept, **change))
    algorithm, observer = KeptAlgorithm(30), Observer()
    carry_out(interrupted, algorithm, observer)
    assert algorithm.calls == reference
    assert algorithm.asks == 30
    assert isinstance(observer.seen[0], tuple)
    assert observer.seen[0][3] == 0


def test_what_a_snapshot_had_seen_is_written_before_it(interrupted: Journal) -> None:
    kept = interrupted.snapshot("run")
    assert kept is not None
    seen = Seen.of(interrupted.history("run"), Position(kept.asked, kept.told))
    assert seen.digest == kept.digest


def test_an_algorithm_that_can_not_be_kept_is_not_asked_again() -> None:
    class Refuses(KeptAlgorithm):
        tries = 0

        def snapshot(self) -> bytes:
            self.tries += 1
            raise SnapshotError("it can't be told")

    algorithm, saved = Refuses(3), []
    taken = Snapshots(algorithm, save=saved.append)
    for _ in range(3):
        taken.take()
    assert (algorithm.tries, saved) == (1, [])
    assert not Snapshots(ChainAlgorithm(3), save=saved.append).is_due


def test_snapshots_that_cost_much_are_rare() -> None:
    now = [0.0]

    class Slow(KeptAlgorithm):
        def snapshot(self) -> bytes:
            now[0] += 2.0
            return super().snapshot()

    taken = Snapshots(Slow(3), save=lambda _: None, clock=lambda: now[0])

    def is_due_after(seconds: float) -> bool:
        with taken.watching():
            now[0] += seconds
        return taken.is_due

    assert not is_due_after(0.25)
    assert is_due_after(0.25)
    taken.take()
    assert not is_due_after(9.0)
    assert is_due_after(1.0)


def test_a_digest_tells_apart_all_that_an_algorithm_may_see() -> None:
    def digest(*calls: tuple[object, ...]) -> str:
        seen = Seen()
        for name, *arguments in calls:
            getattr(seen, str(name))(*arguments)
        return seen.digest

    done, failed = TrialStatus.COMPLETED, TrialStatus.FAILED
    digests = [
        digest(),
        digest(("ask", "a")),
        digest(("ask", "b")),
        digest(("ask", "a"), ("ask", "b")),
        digest(("ask", "a"), ("tell", 0, done, 0.5)),
        digest(("ask", "a"), ("tell", 0, done, 0.5000000000000001)),
        digest(("ask", "a"), ("tell", 0, failed, None)),
        digest(("ask", "a"), ("tell", 1, done, 0.5)),
    ]
    assert len(set(digests)) == len(digests)
