import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    FailureReason,
    RunPlan,
    SimFailure,
    SimReturn,
    SimStatus,
    TrialStatus,
    UniqueParameterSet,
    derive_seed,
)
from modelops.core.errors import AlgorithmError, JournalError
from modelops.runner.instructions import (
    Ask,
    Asked,
    CancelWanted,
    Evaluate,
    Event,
    PauseWanted,
    RecordAsk,
    RecordPause,
    RecordResult,
    RecordResume,
    ResumeWanted,
    SimulationFinished,
    Stop,
    Submit,
    Tell,
    TrialEvaluated,
)
from modelops.runner.loop import RunLoop
from unit.runner.simulated_run import ChainAlgorithm, follow, history_of, make_plan, simulate


def first(_count: int) -> int:
    return 0


def last(count: int) -> int:
    return count - 1


def chance(seed: int) -> Callable[[int], int]:
    source = random.Random(seed)
    return source.randrange


sizes = st.fixed_dictionaries(
    {
        "n_trials": st.integers(1, 12),
        "n_parallel": st.integers(1, 6),
        "replicates": st.integers(1, 3),
        "max_failures": st.sampled_from([0, 0.3, 2, 1000]),
    }
)


@given(
    sizes,
    st.none() | st.integers(1, 5),
    st.sampled_from([0.0, 0.15]),
    st.integers(0, 2**32),
    st.data(),
)
def test_neither_order_nor_a_restart_changes_the_run(
    size: dict[str, int], generation: int | None, failing: float, seed: int, data: st.DataObject
) -> None:
    plan = make_plan(**size)

    def algorithm() -> ChainAlgorithm:
        return ChainAlgorithm(plan.n_trials, generation)

    reference = follow(plan, algorithm(), first, share_failing=failing)
    shuffled = follow(plan, algorithm(), chance(seed), share_failing=failing)
    assert shuffled.calls == reference.calls
    assert shuffled.stop == reference.stop
    told = [call[1] for call in reference.calls if call[0] == "tell"]
    assert told == list(range(len(told)))
    for number in told:
        assert shuffled.outcomes()[number] == reference.outcomes()[number]
    assert [item.trial for item in shuffled.journal if isinstance(item, RecordAsk)] == [
        item.trial for item in reference.journal if isinstance(item, RecordAsk)
    ]

    cut = data.draw(st.integers(0, len(shuffled.journal)))
    before, history = shuffled.journal[:cut], history_of(shuffled.journal[:cut])
    resumed = follow(plan, algorithm(), chance(seed + 1), history=history, share_failing=failing)
    assert resumed.calls == reference.calls
    assert resumed.stop == reference.stop
    written = [*before, *resumed.journal]
    assert len([item for item in written if isinstance(item, RecordAsk)]) == len(
        {item.trial.number for item in written if isinstance(item, RecordAsk)}
    )
    ended = [item.trial for item in written if isinstance(item, RecordResult)]
    assert len(ended) == len(set(ended))
    assert set(ended) >= set(told)
    # What was recorded isn't simulated again.
    assert not {item.trial for item in resumed.submitted} & set(history.ended)


@given(st.integers(1, 8), st.integers(1, 6))
def test_the_sequence_is_that_of_the_window(n_trials: int, n_parallel: int) -> None:
    plan = make_plan(n_trials=n_trials, n_parallel=n_parallel)
    run = follow(plan, ChainAlgorithm(n_trials), last)
    expected = []
    for number in range(n_trials):
        if number >= n_parallel:
            expected.append(("tell", number - n_parallel))
        expected.append(("ask", number))
    expected += [("tell", number) for number in range(max(0, n_trials - n_parallel), n_trials)]
    assert [call[:2] for call in run.calls] == expected


def test_seeds_are_those_of_the_plan_and_all_replicates_are_simulated() -> None:
    plan = make_plan(n_trials=3, replicates=3)
    run = follow(plan, ChainAlgorithm(3), last)
    assert len(run.submitted) == 9
    for item in run.submitted:
        assert item.seed == derive_seed(plan.seed, item.parameters.param_id, item.replicate)


def test_records_come_before_the_algorithm_is_called_again() -> None:
    run = follow(make_plan(), ChainAlgorithm(12), chance(3))
    recorded = set()
    asked = 0
    for item in run.instructions:
        match item:
            case RecordAsk(trial):
                assert trial.number == asked
                asked += 1
            case RecordResult(number):
                recorded.add(number)
            case Tell(result):
                assert result.trial in recorded
            case Submit(number):
                assert number < asked


def test_a_whole_generation_is_awaited_and_empty_asks_are_repeated_after_each_tell() -> None:
    run = follow(make_plan(n_trials=4, n_parallel=4), ChainAlgorithm(4, generation=2), last)
    kinds = [call[0] for call in run.calls]
    assert kinds == ["ask", "ask", "tell", "tell", "ask", "ask", "tell", "tell"]
    assert sum(isinstance(item, Ask) for item in run.instructions) == 6


def test_the_lowest_replicates_failure_is_the_trials() -> None:
    plan = make_plan(n_trials=1, n_parallel=1, replicates=3)
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        loop = RunLoop(plan)
        loop.start()
        asked = UniqueParameterSet.from_dict({"x": 0.5}, trial=0)
        assert len(loop.handle(Asked(asked, finished=True))) == 4
        returns = [
            simulate({"x": 0.5}, 1, 0.0),
            failed(FailureReason.TIMEOUT, "slow"),
            failed(FailureReason.CRASH, "gone"),
        ]
        instructions = [
            item
            for replicate in order
            for item in loop.handle(SimulationFinished(0, replicate, returns[replicate]))
        ]
        (record, tell, stop) = instructions
        assert isinstance(record, RecordResult)
        assert record.outcome.status is TrialStatus.TIMEOUT
        assert (record.outcome.reason, record.outcome.message) == ("timeout", "slow")
        assert isinstance(tell, Tell)
        assert tell.result.diagnostics == {"reason": "timeout"}
        assert stop == Stop(failed=True, message="The run has no result: not one trial completed.")


def failed(reason: FailureReason, message: str, details: str = "") -> SimReturn:
    return SimReturn("task", SimStatus.FAILED, failure=SimFailure(reason, message, details))


def test_too_many_failures_end_the_run_with_the_reason() -> None:
    plan = make_plan(n_trials=10, n_parallel=3, max_failures=0.2)
    run = follow(plan, ChainAlgorithm(10), chance(1), share_failing=1.0)
    assert run.stop is not None
    assert run.stop.failed
    assert (
        "3 of the first 3 trials failed, and the limits allow 2 of 10 (max_failures)"
        in run.stop.message
    )
    assert "trial 2, failed with" in run.stop.message
    assert "is unlucky" in run.stop.message


def test_long_messages_and_details_are_cut() -> None:
    loop = RunLoop(make_plan(n_trials=1, replicates=1))
    loop.start()
    loop.handle(Asked(UniqueParameterSet.from_dict({"x": 0.5}, trial=0), finished=True))
    long = failed(FailureReason.MODEL, "m" * 10**6, "d" * 10**6 + "end")
    (record, *_) = loop.handle(SimulationFinished(0, 0, long))
    assert isinstance(record, RecordResult)
    assert len(record.outcome.message) < 10_000
    assert len(record.outcome.details) < 20_000
    assert record.outcome.details.endswith("end")


@pytest.mark.parametrize(
    ("loss", "parts"),
    [(float("nan"), {}), (float("inf"), {}), (None, {}), (1.0, {"x": float("nan")})],
)
def test_a_loss_that_is_no_number_fails_the_trial(
    loss: float | None, parts: dict[str, float]
) -> None:
    loop = started(make_plan(n_trials=1, replicates=1))
    (evaluate,) = loop.handle(SimulationFinished(0, 0, simulate({"x": 0.5}, 1, 0.0)))
    assert isinstance(evaluate, Evaluate)
    (record, *_) = loop.handle(TrialEvaluated(0, loss, parts))
    assert isinstance(record, RecordResult)
    assert record.outcome.status is TrialStatus.FAILED
    assert "must be finite" in record.outcome.message


def started(plan: RunPlan) -> RunLoop:
    loop = RunLoop(plan)
    loop.start()
    loop.handle(Asked(UniqueParameterSet.from_dict({"x": 0.5}, trial=0), finished=False))
    return loop


def test_what_is_reported_twice_counts_once() -> None:
    loop = started(make_plan(n_trials=2, n_parallel=1, replicates=1))
    simulated = SimulationFinished(0, 0, simulate({"x": 0.5}, 1, 0.0))
    assert [type(item) for item in loop.handle(simulated)] == [Evaluate]
    assert loop.handle(simulated) == []
    evaluated = TrialEvaluated(0, 1.0, {"x": 1.0})
    assert [type(item) for item in loop.handle(evaluated)] == [RecordResult, Tell, Ask]
    assert loop.handle(evaluated) == []
    assert loop.handle(simulated) == []


def test_a_trial_that_was_never_asked_is_a_fault() -> None:
    loop = started(make_plan())
    with pytest.raises(ValueError, match="never asked"):
        loop.handle(TrialEvaluated(9, 1.0, {}))


def test_trials_that_are_numbered_in_another_way_are_refused() -> None:
    for trial in (1, None):
        loop = RunLoop(make_plan())
        loop.start()
        with pytest.raises(AlgorithmError, match=f"the number {trial}"):
            loop.handle(Asked(UniqueParameterSet.from_dict({"x": 0.5}, trial=trial), False))


def test_more_trials_than_planned_are_never_asked() -> None:
    run = follow(make_plan(n_trials=5), ChainAlgorithm(1000), first)
    assert len([call for call in run.calls if call[0] == "ask"]) == 5
    assert run.stop == Stop(failed=False)


def test_an_algorithm_that_finishes_early_ends_the_run() -> None:
    run = follow(make_plan(n_trials=12), ChainAlgorithm(3), first)
    assert len([call for call in run.calls if call[0] == "tell"]) == 3
    assert run.stop == Stop(failed=False)


def test_an_algorithm_that_asks_for_nothing_is_not_awaited_for_ever() -> None:
    loop = RunLoop(make_plan())
    loop.start()
    (stop,) = loop.handle(Asked(None, finished=False))
    assert isinstance(stop, Stop)
    assert stop.failed
    assert "asks for nothing" in stop.message
    assert loop.handle(Asked(None, finished=False)) == []


def test_another_algorithm_than_the_journals_is_refused() -> None:
    plan = make_plan()
    run = follow(plan, ChainAlgorithm(12), first)
    history = history_of(run.journal[:6])
    with pytest.raises(JournalError, match=r"(?s)holds trial 0 .*x=.*library versions.*--run-id"):
        follow(plan, ChainAlgorithm(12, salt="another version"), first, history=history)


def test_a_journal_with_more_than_is_asked_is_refused() -> None:
    plan = make_plan()
    history = history_of(follow(plan, ChainAlgorithm(12), first).journal)
    with pytest.raises(JournalError, match=r"(?s)holds trial 3,.*--run-id"):
        follow(plan, ChainAlgorithm(3), first, history=history)


def test_other_seeds_than_the_journals_are_refused() -> None:
    plan = make_plan()
    history = history_of(follow(plan, ChainAlgorithm(12), first).journal)
    with pytest.raises(JournalError, match="holds trial 0"):
        follow(replace(plan, seed=8), ChainAlgorithm(12), first, history=history)


@given(
    sizes,
    st.none() | st.integers(1, 5),
    st.sampled_from([0.0, 0.15]),
    st.integers(0, 2**32),
    st.data(),
)
def test_pausing_and_resuming_at_any_point_changes_nothing(
    size: dict[str, int], generation: int | None, failing: float, seed: int, data: st.DataObject
) -> None:
    plan = make_plan(**size)
    source = random.Random(seed)

    def algorithm() -> ChainAlgorithm:
        return ChainAlgorithm(plan.n_trials, generation)

    def wish() -> Event | None:
        return source.choice([None, None, None, PauseWanted(), ResumeWanted()])

    reference = follow(plan, algorithm(), first, share_failing=failing)
    paused = follow(plan, algorithm(), chance(seed), share_failing=failing, wish=wish)
    assert paused.calls == reference.calls
    assert paused.stop == reference.stop
    for number, outcome in reference.outcomes().items():
        assert paused.outcomes().get(number, outcome) == outcome
    keys = [(item.trial, item.replicate) for item in paused.submitted]
    assert len(keys) == len(set(keys))
    kinds = [type(i) for i in paused.instructions if isinstance(i, RecordPause | RecordResume)]
    assert all(kind is not after for kind, after in itertools.pairwise(kinds))

    cut = data.draw(st.integers(0, len(paused.journal)))
    history = history_of(paused.journal[:cut])
    again = follow(
        plan, algorithm(), chance(seed + 1), history=history, share_failing=failing, wish=wish
    )
    assert again.calls == reference.calls
    assert again.stop == reference.stop


@given(sizes, st.integers(0, 2**32), st.integers(0, 60))
def test_a_run_that_was_cancelled_at_any_point_can_go_on(
    size: dict[str, int], seed: int, patience: int
) -> None:
    plan = make_plan(**size)
    reference = follow(plan, ChainAlgorithm(plan.n_trials), first)
    events = iter([None] * patience + [CancelWanted()])
    cancelled = follow(
        plan, ChainAlgorithm(plan.n_trials), chance(seed), wish=lambda: next(events, None)
    )
    if cancelled.stop != reference.stop:
        assert cancelled.stop == Stop(failed=False, cancelled=True)
        assert cancelled.calls == reference.calls[: len(cancelled.calls)]
    history = history_of(cancelled.journal)
    reopened = follow(plan, ChainAlgorithm(plan.n_trials), chance(seed), history=history)
    assert reopened.calls == reference.calls
    assert reopened.stop == reference.stop


def test_a_pause_waits_for_what_is_under_way() -> None:
    loop = started(make_plan(n_trials=3, n_parallel=2, replicates=1))
    # The second trial has been asked for by now; its answer is on its way.
    assert loop.handle(PauseWanted()) == []
    late = UniqueParameterSet.from_dict({"x": 0.7}, trial=1)
    (recorded,) = loop.handle(Asked(late, finished=False))
    assert isinstance(recorded, RecordAsk)
    simulated = SimulationFinished(0, 0, simulate({"x": 0.5}, 1, 0.0))
    assert [type(item) for item in loop.handle(simulated)] == [Evaluate]
    ended = loop.handle(TrialEvaluated(0, 1.0, {"x": 1.0}))
    assert [type(item) for item in ended] == [RecordResult, Tell, RecordPause]
    assert loop.handle(PauseWanted()) == []
    resumed = loop.handle(ResumeWanted())
    assert [type(item) for item in resumed] == [RecordResume, Submit, Ask]
    assert resumed[1].parameters == late
    assert loop.handle(ResumeWanted()) == []


def test_a_run_of_which_all_was_asked_ends_instead_of_pausing() -> None:
    loop = started(make_plan(n_trials=1, replicates=1))
    assert loop.handle(PauseWanted()) == []
    loop.handle(SimulationFinished(0, 0, simulate({"x": 0.5}, 1, 0.0)))
    ended = loop.handle(TrialEvaluated(0, 1.0, {"x": 1.0}))
    assert [type(item) for item in ended] == [RecordResult, Tell, Stop]
    assert ended[-1] == Stop(failed=False)


def test_a_run_that_is_to_be_paused_from_the_start_asks_for_nothing() -> None:
    loop = RunLoop(make_plan())
    assert loop.handle(PauseWanted()) == [RecordPause()]
    assert loop.start() == []
    assert loop.handle(ResumeWanted()) == [RecordResume(), Ask()]


def test_a_cancelled_run_stops_at_once_and_heeds_nothing_more() -> None:
    loop = started(make_plan(n_trials=2))
    assert loop.handle(CancelWanted()) == [Stop(failed=False, cancelled=True)]
    assert loop.handle(SimulationFinished(0, 0, simulate({"x": 0.5}, 1, 0.0))) == []
    assert loop.handle(ResumeWanted()) == []
