"""The sizes of a group of workers, without any worker."""

from hypothesis import given
from hypothesis import strategies as st

from modelops.worker.scaling import Scaling, free_numbers, replicas_to_end

IDLE_SECONDS = 30.0


@st.composite
def scalings(draw: st.DrawFn) -> tuple[Scaling, int, int, int]:
    minimum = draw(st.integers(0, 5))
    maximum = draw(st.integers(max(minimum, 1), 10))
    slots = draw(st.integers(1, 8))
    return Scaling(minimum, maximum, slots, IDLE_SECONDS), minimum, maximum, slots


loads = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 100)), min_size=1, max_size=40)


@given(scalings(), loads)
def test_a_group_has_what_its_load_needed_at_most_of_late(
    scaling: tuple[Scaling, int, int, int], steps: list[tuple[float, int]]
) -> None:
    group, minimum, maximum, slots = scaling
    now, past = 0.0, []
    for pause, tasks in steps:
        now += pause
        past.append((now, tasks))
        most = max(load for at, load in past if at >= now - IDLE_SECONDS)
        replicas = group.target(now, tasks)
        assert replicas == min(max((most + slots - 1) // slots, minimum), maximum)


def test_a_group_grows_at_once_and_shrinks_after_it_was_idle() -> None:
    group = Scaling(0, 4, slots=2, idle_seconds=30)
    assert group.target(0, 0) == 0
    assert group.target(1, 3) == 2
    assert group.target(2, 100) == 4
    assert group.target(3, 0) == 4
    assert group.target(32, 0) == 4
    assert group.target(33, 0) == 0


def test_what_is_needed_again_in_time_stays() -> None:
    group = Scaling(0, 4, slots=1, idle_seconds=30)
    assert [group.target(now, now // 20 % 2 * 3) for now in range(20, 200)] == [3] * 180


replicas = st.dictionaries(
    st.integers(0, 9), st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=6
)


@given(replicas, st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)), st.integers(0, 8))
def test_no_busy_replica_is_ended_and_no_more_than_are_too_many(
    present: dict[int, list[str]], running: dict[str, int], target: int
) -> None:
    ended = replicas_to_end(present, running, target)
    assert not any(running.get(name, 0) for number in ended for name in present[number])
    assert len(set(ended)) == len(ended)
    idle = [n for n in present if not any(running.get(name, 0) for name in present[n])]
    assert len(ended) == min(max(len(present) - target, 0), len(idle))


def test_the_last_replicas_go_first() -> None:
    present = {0: ["a"], 1: ["b"], 2: ["c"], 3: ["d"]}
    assert replicas_to_end(present, {"d": 1}, 2) == [2, 1]


@given(st.sets(st.integers(0, 20)), st.integers(0, 10))
def test_new_replicas_get_the_lowest_free_numbers(taken: set[int], count: int) -> None:
    numbers = free_numbers(taken, count)
    assert len(numbers) == count
    assert taken.isdisjoint(numbers)
    assert all(below in taken | set(numbers) for number in numbers for below in range(number))
