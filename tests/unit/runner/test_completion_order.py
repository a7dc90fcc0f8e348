import random

from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import RunPlan, TrialOrder
from modelops.runner.instructions import RecordAsk, RecordResult, Stop, Tell
from unit.runner.simulated_run import ChainAlgorithm, SimulatedRun, follow, history_of, make_plan

COMPLETION = TrialOrder.COMPLETION

sizes = st.fixed_dictionaries(
    {
        "n_trials": st.integers(1, 12),
        "n_parallel": st.integers(1, 6),
        "replicates": st.integers(1, 3),
        "max_failures": st.sampled_from([0, 0.3, 2, 1000]),
    }
)


def run(plan: RunPlan, seed: int, generation: int | None = None) -> SimulatedRun:
    algorithm = ChainAlgorithm(plan.n_trials, generation)
    return follow(plan, algorithm, random.Random(seed).randrange, share_failing=0.15)


def test_a_trial_is_told_as_soon_as_it_has_ended() -> None:
    # The last that was submitted ends first.
    plan = make_plan(n_trials=6, n_parallel=3, replicates=1, order=COMPLETION)
    calls = follow(plan, ChainAlgorithm(6), lambda count: count - 1).calls
    assert [call[:2] for call in calls] == [
        *(("ask", 0), ("ask", 1), ("ask", 2)),
        *(("tell", 2), ("ask", 3), ("tell", 3), ("ask", 4), ("tell", 4), ("ask", 5)),
        *(("tell", 5), ("tell", 1), ("tell", 0)),
    ]


@given(sizes, st.none() | st.integers(1, 5), st.integers(0, 2**32))
def test_all_are_told_once_in_the_order_in_which_they_ended(
    size: dict[str, int], generation: int | None, seed: int
) -> None:
    plan = make_plan(**size, order=COMPLETION)
    done = run(plan, seed, generation)
    ended = [item for item in done.instructions if isinstance(item, RecordResult)]
    told = [item.result.trial for item in done.instructions if isinstance(item, Tell)]
    assert [item.place for item in ended] == list(range(len(ended)))
    assert told == [item.trial for item in ended][: len(told)]
    assert isinstance(done.stop, Stop)
    if not done.stop.failed:
        assert sorted(told) == list(range(plan.n_trials))
    count = 0
    for item in done.instructions:
        if isinstance(item, RecordAsk):
            assert item.trial.told == count
        count += isinstance(item, Tell)


@given(sizes, st.none() | st.integers(1, 5), st.integers(0, 2**32), st.data())
def test_a_restart_repeats_what_was_recorded(
    size: dict[str, int], generation: int | None, seed: int, data: st.DataObject
) -> None:
    plan = make_plan(**size, order=COMPLETION)
    before = run(plan, seed, generation)
    cut = data.draw(st.integers(0, len(before.journal)))
    history = history_of(before.journal[:cut])
    again = follow(
        plan,
        ChainAlgorithm(plan.n_trials, generation),
        random.Random(seed + 1).randrange,
        history=history,
        share_failing=0.15,
    )
    # All calls up to the last that was recorded: asks, and what ended, in their order.
    recorded = {("ask", number) for number in history.asked}
    recorded |= {("tell", number) for number in history.ended}
    kept = [call[:2] for call in before.calls if call[:2] in recorded]
    made = [call[:2] for call in again.calls]
    last_ask = max((made.index(call) for call in recorded if call[0] == "ask"), default=-1)
    assert again.calls[: last_ask + 1] == before.calls[: last_ask + 1]
    assert [call for call in made if call in recorded][: len(kept)] == kept[: len(made)]
    assert not {item.trial for item in again.submitted} & set(history.ended)
    asked = [item.trial.number for item in again.journal if isinstance(item, RecordAsk)]
    assert not set(asked) & set(history.asked)
    places = [item.place for item in again.journal if isinstance(item, RecordResult)]
    assert places == list(range(len(history.places), len(history.places) + len(places)))


@given(sizes, st.integers(0, 2**32))
def test_with_one_at_a_time_both_orders_are_the_same(size: dict[str, int], seed: int) -> None:
    size = {**size, "n_parallel": 1}
    by_completion = run(make_plan(**size, order=COMPLETION), seed)
    by_asking = run(make_plan(**size), seed)
    assert by_completion.calls == by_asking.calls
    assert by_completion.stop == by_asking.stop
