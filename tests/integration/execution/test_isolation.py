"""How far simulations of one bundle are kept apart: warm, fork and fresh."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from integration.execution.local_machine import SECONDS, LocalMachine, failed, values
from modelops.contracts import Execution, FailureReason, Isolation
from modelops.worker.answers import Answers
from modelops.worker.chunks import Chunk, Done, Function, LateChunk, decode_reply
from modelops.worker.model_worker import ModelWorker
from modelops.worker.warm_child import CRASHES_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelops.contracts import SimReturn

    Run = Callable[..., list[SimReturn]]

pytestmark = pytest.mark.integration

MODEL = """
import os
import time
from pathlib import Path

COUNTER = [0]
LEFT = Path("left-behind")
with Path("imports").open("a") as imports:
    imports.write("imported\\n")
IMPORTED = os.getpid()


def simulate(params, seed):
    COUNTER[0] += 1
    was_there = LEFT.exists()
    LEFT.write_text("left")
    print(f"this is {seed}")
    return {
        "count": COUNTER[0],
        "pid": os.getpid(),
        "importer": IMPORTED,
        "imports": len(Path("imports").read_text().split()),
        "was_there": was_there,
    }


def ends(params, seed):
    if seed == params["bad"]:
        with Path(params["tries"]).open("a") as tries:
            tries.write("tried\\n")
        print("last words")
        os._exit(params["status"])
    return simulate(params, seed)


def raises(params, seed):
    if seed == params["bad"]:
        print("just before")
        raise ValueError("no such disease")
    return simulate(params, seed)


def takes_all(params, seed):
    if seed == params["bad"]:
        bytearray(2**40)
    return simulate(params, seed)


def hangs(params, seed):
    if seed == params["bad"]:
        print("a sign of life")
        time.sleep(600)
    return simulate(params, seed)


def waits(params, seed):
    while seed == params["bad"] and not Path(params["gate"]).exists():
        time.sleep(0.01)
    return {"seed": seed}


def returns_tables(params, seed):
    return {"a": {"x": [float(seed)] * 3}, "b": {"y": ["z", str(seed)]}}
"""


@contextmanager
def runner(
    local: LocalMachine, isolation: Isolation, slots: int = 2, **options: Any
) -> Iterator[Run]:
    """Give what runs a function with many seeds, in a service of this isolation."""
    ref = local.push(MODEL)
    with local.service(slots, execution=Execution(isolation), **options) as service:

        def run(function: str, count: int, **params: Any) -> list[SimReturn]:
            futures = [
                service.submit(f"model:{function}", params, seed, bundle_ref=ref)
                for seed in range(count)
            ]
            return [future.result(SECONDS) for future in futures]

        yield run


def columns(outcomes: list[SimReturn]) -> dict[str, list[Any]]:
    """Return each value by its name, in the order of the simulations."""
    rows = [values(outcome) for outcome in outcomes]
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_warm_simulations_share_a_process(local: LocalMachine) -> None:
    with runner(local, Isolation.WARM, slots=1) as run:
        seen = columns(run("simulate", 20))

    # Chunks may be run in another order than they were submitted in.
    assert sorted(seen["count"]) == list(range(1, 21))
    assert sorted(seen["was_there"]) == [False, *[True] * 19]
    assert len(set(seen["pid"])) == 1
    assert set(seen["imports"]) == {1}


def test_forked_simulations_see_the_state_after_the_import(local: LocalMachine) -> None:
    with runner(local, Isolation.FORK) as run:
        seen = columns(run("simulate", 20))

    assert seen["count"] == [1] * 20
    assert len(set(seen["pid"])) == 20
    # They were imported in at most as many processes as there are slots.
    assert len(set(seen["importer"])) <= 2
    assert not set(seen["importer"]) & set(seen["pid"])
    assert set(seen["imports"]) == {1}


def test_fresh_simulations_share_nothing(local: LocalMachine) -> None:
    with runner(local, Isolation.FRESH) as run:
        seen = columns(run("simulate", 6))

    assert seen["count"] == [1] * 6
    assert len(set(seen["pid"])) == 6
    assert seen["importer"] == seen["pid"]
    assert set(seen["imports"]) == {1}
    assert set(seen["was_there"]) == {False}


@pytest.mark.parametrize("isolation", list(Isolation))
def test_each_simulations_log_is_its_own(local: LocalMachine, isolation: Isolation) -> None:
    with runner(local, isolation) as run:
        outcomes = run("raises", 5, bad=2)

    reason, message, details = failed(outcomes[2])
    assert (reason, message) == (FailureReason.MODEL, "ValueError: no such disease")
    assert "The model wrote:\njust before\n" in details
    # What a process wrote at its import is no simulation's.
    assert [outcome.log for outcome in outcomes] == [
        "just before\n" if seed == 2 else f"this is {seed}\n" for seed in range(5)
    ]


@pytest.mark.parametrize(
    ("isolation", "status"),
    # One that ends well without an outcome is no better.
    [(Isolation.WARM, 7), (Isolation.FORK, 0), (Isolation.FRESH, 0)],
)
def test_a_process_that_ends_costs_one_simulation(
    local: LocalMachine, isolation: Isolation, status: int
) -> None:
    tries = local.folder / "tries"
    with runner(local, isolation) as run:
        outcomes = run("ends", 8, bad=4, tries=str(tries), status=status)

    reason, message, _ = failed(outcomes.pop(4))
    assert reason is FailureReason.CRASH
    assert f"{CRASHES_ALLOWED} times" in message
    assert len(tries.read_text().split()) == CRASHES_ALLOWED
    assert len(columns(outcomes)["count"]) == 7


def test_a_copy_that_ends_leaves_its_process_for_the_others(local: LocalMachine) -> None:
    with runner(local, Isolation.FORK, slots=1) as run:
        outcomes = run("ends", 8, bad=4, tries=str(local.folder / "tries"), status=7)

    _, message, details = failed(outcomes.pop(4))
    assert "exit status 7" in message
    assert "last words" in details
    assert len(set(columns(outcomes)["importer"])) == 1


def test_a_copy_that_uses_its_memory_up_leaves_its_process_for_the_others(
    local: LocalMachine,
) -> None:
    with runner(local, Isolation.FORK, slots=1, task_memory=400 * 2**20) as run:
        outcomes = run("takes_all", 8, bad=4)

    assert failed(outcomes.pop(4))[0] is FailureReason.MEMORY
    assert len(set(columns(outcomes)["importer"])) == 1


@pytest.mark.parametrize("isolation", [Isolation.FORK, Isolation.FRESH])
def test_a_simulation_over_its_time_limit_costs_only_itself(
    local: LocalMachine, isolation: Isolation
) -> None:
    with runner(local, isolation, task_timeout=0.5) as run:
        outcomes = run("hangs", 6, bad=3)

    reason, message, details = failed(outcomes.pop(3))
    assert (reason, message) == (FailureReason.TIMEOUT, "it took longer than 0.5 s")
    assert "a sign of life" in details
    assert columns(outcomes)["count"] == [1] * 5


@pytest.mark.parametrize("isolation", [Isolation.WARM, Isolation.FORK])
def test_what_is_done_is_told_while_another_runs(local: LocalMachine, isolation: Isolation) -> None:
    worker = ModelWorker(1, cache_root=local.folder / "bundles", registry=local.registry)
    gate = local.folder / "gate"
    said: list[LateChunk] = []

    def notice(name: str, late: LateChunk) -> None:
        assert name == "mine"
        said.append(late)
        if late.part:
            gate.touch()

    function = Function(local.push(MODEL), "model:waits", isolation=isolation)
    calls = json.dumps([[{"gate": str(gate), "bad": 2}, seed] for seed in range(4)]).encode()
    chunk = Chunk(function, calls, b"".join(bytes([seed] * 32) for seed in range(4)), 2.0, "mine")
    try:
        done = decode_reply(worker.run(chunk.encode(), notice))
    finally:
        worker.close()

    (late,) = [late for late in said if late.part]
    assert late.position == 2
    part = decode_reply(late.part)
    assert isinstance(part, Done)
    assert isinstance(done, Done)
    # It begins nothing after the one that it was late with.
    assert [(each.start, len(Answers(each.answers))) for each in (part, done)] == [(0, 2), (2, 1)]
    for each in (part, done):
        assert values(Answers(each.answers).outcome(0, "0" * 64))["seed"] == each.start
    assert part.failure is None


def test_a_worker_keeps_runs_of_other_isolations_apart(local: LocalMachine) -> None:
    worker = ModelWorker(1, cache_root=local.folder / "bundles", registry=local.registry)
    ref = local.push(MODEL)

    def count(isolation: Isolation) -> int:
        function = Function(ref, "model:simulate", isolation=isolation)
        done = decode_reply(worker.run(Chunk(function, b"[[{}, 1]]", bytes(32), 1.0).encode()))
        assert isinstance(done, Done)
        return int(values(Answers(done.answers).outcome(0, "0" * 64))["count"])

    try:
        warm = [count(Isolation.WARM) for _ in range(2)]
        others = [count(Isolation.FORK), count(Isolation.FRESH), count(Isolation.FRESH)]
    finally:
        worker.close()

    assert warm == [1, 2]
    assert others == [1, 1, 1]


def test_results_are_the_same_bytes_however_simulations_are_kept_apart(
    local: LocalMachine,
) -> None:
    contents = []
    for isolation in Isolation:
        with runner(local, isolation) as run:
            contents.append([dict(outcome.tables) for outcome in run("returns_tables", 4)])

    assert set(contents[0][0]) == {"a", "b"}
    assert contents[0] == contents[1] == contents[2]
