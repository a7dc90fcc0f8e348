import random
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from modelops.contracts import BundleRef, FailureReason, SimReturn, SimStatus, SimTask
from modelops.core.errors import ServiceError
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.child_environment import child_environment
from modelops.worker.child_pool import ChildPool
from modelops.worker.model_log import MAX_LOG_BYTES
from modelops.worker.outputs import from_ipc
from modelops.worker.warm_child import CRASHES_ALLOWED, WarmChild

MakeTask = Callable[..., SimTask]

pytestmark = pytest.mark.integration


def _rows(outcome: SimReturn) -> list[dict[str, object]]:
    assert outcome.failure is None
    rows: list[dict[str, object]] = from_ipc(outcome.tables["output"]).to_pylist()
    return rows


def _reason(outcome: SimReturn) -> FailureReason:
    assert outcome.status is SimStatus.FAILED
    assert outcome.failure is not None
    return outcome.failure.reason


def test_a_simulation_gets_its_parameters_and_its_seed(
    child: WarmChild, make_task: MakeTask
) -> None:
    task = make_task("simulate", 2**64 - 1, a=1, b=2.5)

    outcome = child.simulate(task)

    assert outcome.task_id == task.task_id
    assert outcome.seconds > 0
    (row,) = _rows(outcome)
    assert (row["total"], row["seed"]) == (3.5, str(2**64 - 1))


def test_parameters_keep_their_types(child: WarmChild, make_task: MakeTask) -> None:
    (row,) = _rows(child.simulate(make_task("kinds", i=1, f=1.0, b=True, s="1")))

    assert row == {
        "params": "dict",
        "seed": "int",
        "i": "int",
        "f": "float",
        "b": "bool",
        "s": "str",
    }


def test_the_module_is_imported_once(child: WarmChild, make_task: MakeTask) -> None:
    first, second = (_rows(child.simulate(make_task("simulate", a=0, b=0)))[0] for _ in range(2))

    assert second["calls"] == int(str(first["calls"])) + 1


def test_what_a_model_writes_cannot_touch_the_protocol(
    child: WarmChild, make_task: MakeTask
) -> None:
    assert _rows(child.simulate(make_task("writes"))) == [{"x": 1}]


def test_an_exception_is_explained(child: WarmChild, make_task: MakeTask) -> None:
    pid = child.pid
    child.simulate(make_task("writes"))
    outcome = child.simulate(make_task("raises"))

    assert _reason(outcome) is FailureReason.MODEL
    assert outcome.failure is not None
    assert outcome.failure.message == "ValueError: beta must be positive"
    assert 'File "model.py", line' in outcome.failure.details
    assert "modelops/worker" not in outcome.failure.details
    assert outcome.failure.details.endswith("The model wrote:\njust before\n")
    assert child.pid == pid


@pytest.mark.parametrize(
    ("function", "reason", "said"),
    [
        ("exits", FailureReason.MODEL, "the model called sys.exit(3)"),
        ("returns_none", FailureReason.MODEL, "The model returned None."),
        ("absent", FailureReason.BUNDLE, "'model:absent' doesn't exist"),
        ("STARTED", FailureReason.BUNDLE, "isn't a function"),
    ],
)
def test_failures_of_the_code_leave_the_child_alive(
    child: WarmChild, make_task: MakeTask, function: str, reason: FailureReason, said: str
) -> None:
    child.simulate(make_task("simulate", a=0, b=0))
    pid = child.pid
    outcome = child.simulate(make_task(function))

    assert _reason(outcome) is reason
    assert outcome.failure is not None
    assert said in outcome.failure.message
    assert child.pid == pid


def test_a_module_that_cannot_be_imported_is_the_bundles_fault(child: WarmChild) -> None:
    ref = BundleRef("tests/behaviours", f"sha256:{'0' * 64}")
    outcome = child.simulate(SimTask(ref, "absent_module:simulate", {}, 1))

    assert _reason(outcome) is FailureReason.BUNDLE
    assert outcome.failure is not None
    assert "No module named 'absent_module'" in outcome.failure.message


@pytest.mark.parametrize(
    ("function", "said", "wrote"),
    [
        ("ends", "it ended with exit status 7", "last words"),
        ("prints_and_ends", "it ended with exit status 7", "last words"),
        ("is_killed", "it was killed by SIGKILL", ""),
        ("leaves_a_process", "it ended with exit status 1", ""),
    ],
)
def test_a_child_that_dies_is_tried_again_three_times(
    child: WarmChild, make_task: MakeTask, function: str, said: str, wrote: str
) -> None:
    outcome = child.simulate(make_task(function))

    assert _reason(outcome) is FailureReason.CRASH
    assert outcome.failure is not None
    assert said in outcome.failure.message
    assert f"{CRASHES_ALLOWED} times" in outcome.failure.message
    assert wrote in outcome.failure.details
    assert child.pid is None


def test_a_child_that_dies_once_costs_nothing(
    child: WarmChild, make_task: MakeTask, tmp_path: Path
) -> None:
    assert _rows(child.simulate(make_task("dies_once", mark=str(tmp_path / "mark")))) == [{"x": 1}]


@pytest.mark.parametrize("function", ["hangs", "chatters"])
def test_a_simulation_over_its_time_limit_is_ended(
    child: WarmChild, make_task: MakeTask, function: str
) -> None:
    child.simulate(make_task("simulate", a=0, b=0))
    assert child.pid is not None
    process = psutil.Process(child.pid)

    outcome = child.simulate(make_task(function), timeout=0.1)

    assert _reason(outcome) is FailureReason.TIMEOUT
    assert outcome.failure is not None
    assert "longer than 0.1 s" in outcome.failure.message
    assert len(outcome.failure.details) < MAX_LOG_BYTES + 100
    assert not process.is_running()


def test_a_child_knows_nothing_of_the_workers_environment(
    bundle_dir: Path, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    child = WarmChild(bundle_dir)

    rows = _rows(child.simulate(make_task("environment")))
    child.close()

    seen = {str(row["names"]): row["values"] for row in rows}
    assert "REGISTRY_PASSWORD" not in seen
    assert "PYTHONDONTWRITEBYTECODE" not in seen
    assert (seen["OMP_NUM_THREADS"], seen["PYTHONHASHSEED"]) == ("1", "0")


def test_the_environment_of_a_child_is_an_allow_list() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC", "AWS_SECRET": "x", "OMP_NUM_THREADS": "8"}

    environment = child_environment(given)

    assert {name: environment[name] for name in ("PATH", "LC_ALL", "TZ")} == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    assert "AWS_SECRET" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"


def test_unmet_requirements_fail_before_anything_starts(
    tmp_path: Path, make_task: MakeTask
) -> None:
    (tmp_path / "model.py").write_text("def simulate(params, seed):\n    return {'x': 1}\n")
    (tmp_path / "requirements.txt").write_text("no-such-distribution>=2\n")
    child = WarmChild(tmp_path)

    outcome = child.simulate(make_task("simulate"))

    assert _reason(outcome) is FailureReason.BUNDLE
    assert outcome.failure is not None
    assert "no-such-distribution isn't installed" in outcome.failure.message
    assert "install it" in outcome.failure.message
    assert child.pid is None


def test_an_import_over_its_time_limit_is_the_bundles_fault(
    tmp_path: Path, make_task: MakeTask
) -> None:
    (tmp_path / "model.py").write_text("import time\ntime.sleep(600)\n")
    child = WarmChild(tmp_path, import_seconds=0.1)

    outcome = child.simulate(make_task("simulate"))

    assert _reason(outcome) is FailureReason.BUNDLE
    assert child.pid is None


def test_closing_ends_the_call_under_way(bundle_dir: Path, make_task: MakeTask) -> None:
    child = WarmChild(bundle_dir)
    child.simulate(make_task("simulate", a=0, b=0))
    assert child.pid is not None
    process = psutil.Process(child.pid)
    errors: list[ServiceError] = []

    def call() -> None:
        try:
            child.simulate(make_task("hangs"))
        except ServiceError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    child.close()
    child.close()
    caller.join()

    assert len(errors) == 1
    assert not process.is_running()
    with pytest.raises(ServiceError):
        child.simulate(make_task("simulate", a=0, b=0))


def test_targets_are_evaluated_in_a_child(
    child: WarmChild, bundle_dir: Path, make_task: MakeTask
) -> None:
    outcome = child.simulate(make_task("simulate", a=2, b=3))
    with BundleEvaluator(bundle_dir, {"p": "targets:prevalence"}) as evaluator:
        (evaluation,) = evaluator.evaluate([[outcome.tables, outcome.tables]])

    assert evaluation.failure is None
    assert (evaluation.loss, dict(evaluation.parts)) == (4.0, {"p": 4.0})


def test_a_target_is_made_once_in_a_child(bundle_dir: Path) -> None:
    import pyarrow as pa

    from modelops.worker.outputs import to_ipc

    trials = [[{"output": to_ipc(pa.table({"total": [total]}))}] for total in (3.0, 4.0, 5.0, 6.0)]
    with BundleEvaluator(bundle_dir, {"p": "targets:counts"}) as evaluator:
        (failed,) = evaluator.evaluate(trials[:1])
        outcomes = [*evaluator.evaluate(trials[:2]), *evaluator.evaluate(trials[2:])]

    # What failed is tried again.
    assert failed.failure is not None
    assert failed.failure.message == "target 'p': OSError: not yet"
    assert [outcome.loss for outcome in outcomes] == [0.0, 1.0, 4.0, 9.0]


def test_each_simulation_is_evaluated_with_its_own_tables(bundle_dir: Path) -> None:
    builder = AnswerBuilder()
    for total in range(100):
        assert builder.add_scalars({"total": float(total)})
        builder.note(0.0, 0.0, "")
    answers = Answers(builder.encode())
    totals = random.Random(7).sample(range(100), 100)
    trials = [totals[:30], totals[30:45], [totals[0], totals[50]], totals[51:]]

    with BundleEvaluator(bundle_dir, {"p": "targets:prevalence"}) as evaluator:
        losses = [
            outcome.loss
            for few in (trials, trials[1:3])
            for outcome in evaluator.evaluate(
                [[answers.outcome(total, "").outputs for total in trial] for trial in few]
            )
        ]

    means = [sum(trial) / len(trial) for trial in (*trials, *trials[1:3])]
    assert losses == pytest.approx([(mean - 3.0) ** 2 for mean in means], rel=1e-12)


@pytest.mark.parametrize(
    ("target", "total", "reason", "said"),
    [
        ("prevalence", float("nan"), FailureReason.MODEL, "'p'"),
        ("prevalence", 1e200, FailureReason.MODEL, "'p'"),
        ("nothing", 1.0, FailureReason.MODEL, "target 'p': targets:nothing returned a NoneType"),
        ("broken", 1.0, FailureReason.MODEL, "target 'p': RuntimeError: the data are"),
        ("absent", 1.0, FailureReason.BUNDLE, "doesn't exist"),
    ],
)
def test_evaluations_fail_with_the_targets_name(
    child: WarmChild, target: str, total: float, reason: FailureReason, said: str
) -> None:
    import pyarrow as pa

    from modelops.worker.outputs import to_ipc

    tables = {"output": to_ipc(pa.table({"total": [total]}))}

    (evaluation,) = child.evaluate({"p": f"targets:{target}"}, [[tables]])

    assert evaluation.failure is not None
    assert evaluation.failure.reason is reason
    assert said in evaluation.failure.message


def test_a_pool_lends_the_child_of_a_bundle_again(bundle_dir: Path, make_task: MakeTask) -> None:
    pool = ChildPool(1)
    with pool.child("a", bundle_dir) as first:
        first.simulate(make_task("simulate", a=0, b=0))
        process = psutil.Process(first.pid)
    with pool.child("a", bundle_dir) as second:
        assert second is first
    with pool.child("b", bundle_dir) as other:
        assert other is not first
        assert not process.is_running()
    pool.close()

    with pytest.raises(ServiceError), pool.child("a", bundle_dir):
        pass


def test_a_pool_keeps_the_children_used_last(bundle_dir: Path) -> None:
    pool = ChildPool(2)
    children = {}
    for digest in ("a", "b", "a", "c"):
        with pool.child(digest, bundle_dir) as child:
            children[digest] = child

    with pool.child("a", bundle_dir) as a, pool.child("c", bundle_dir) as c:
        assert (a, c) == (children["a"], children["c"])
    with pool.child("b", bundle_dir) as b:
        assert b is not children["b"]
    pool.close()
