import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    BundleRef,
    ContractError,
    FailureReason,
    SimFailure,
    SimReturn,
    SimStatus,
    SimTask,
)
from modelops.worker.frames import Frame, FrameError, decode, encode
from modelops.worker.messages import (
    Evaluate,
    EvaluationOutcome,
    Load,
    Loaded,
    Simulate,
    Trouble,
    to_answer,
    to_frame,
    to_request,
)

text = st.text(st.characters(codec="utf-8"), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
tables = st.dictionaries(text, st.binary(max_size=30), max_size=3)
failures = st.builds(SimFailure, st.sampled_from(FailureReason), text, text)
scalars = st.booleans() | st.integers() | finite.map(lambda value: value + 0.0) | text
tasks = st.builds(
    SimTask,
    st.just(BundleRef("team/sir", f"sha256:{'0' * 64}", "ghcr.io")),
    st.sampled_from(["model:simulate", "a.b:c.d"]),
    st.dictionaries(text, scalars, max_size=4),
    st.integers(0, 2**64 - 1),
    st.lists(text, max_size=2).map(sorted).map(tuple),
)
requests = (
    st.builds(Load, st.just("model:simulate"))
    | st.builds(Simulate, tasks, st.none() | st.floats(0.1, 1e6))
    | st.builds(Evaluate, st.dictionaries(text, text), st.lists(tables, max_size=3).map(tuple))
)
answers = (
    st.builds(Loaded, st.none() | failures)
    | st.builds(SimReturn, text, st.just(SimStatus.COMPLETED), tables, st.none(), finite)
    | st.builds(SimReturn, text, st.just(SimStatus.FAILED), st.just({}), failures, finite)
    | st.builds(EvaluationOutcome, finite, st.dictionaries(text, finite))
    | st.builds(Trouble, text, text, st.booleans())
)


@given(requests)
def test_a_request_comes_back_as_it_was(request_sent: Load | Simulate | Evaluate) -> None:
    assert to_request(decode(encode(to_frame(request_sent)))) == request_sent


@given(answers)
def test_an_answer_comes_back_as_it_was(
    answer: Loaded | SimReturn | EvaluationOutcome | Trouble,
) -> None:
    assert to_answer(decode(encode(to_frame(answer)))) == answer


@given(failures)
def test_a_failed_evaluation_comes_back_without_a_loss(failure: SimFailure) -> None:
    outcome = to_answer(decode(encode(to_frame(EvaluationOutcome(failure=failure)))))

    assert isinstance(outcome, EvaluationOutcome)
    assert math.isnan(outcome.loss)
    assert (outcome.failure, dict(outcome.parts)) == (failure, {})


@given(tasks)
def test_a_task_keeps_its_identity(task: SimTask) -> None:
    request = to_request(decode(encode(to_frame(Simulate(task)))))

    assert isinstance(request, Simulate)
    assert request.task.task_id == task.task_id
    kinds = {name: type(value) for name, value in task.params.items()}
    assert {name: type(value) for name, value in request.task.params.items()} == kinds


def test_what_has_no_utf8_form_is_sent_as_escapes() -> None:
    sent = Loaded(SimFailure(FailureReason.MODEL, "a \udcff byte", "\ud800"))

    answer = to_answer(decode(encode(to_frame(sent))))

    assert answer == Loaded(SimFailure(FailureReason.MODEL, "a \\udcff byte", "\\ud800"))


@pytest.mark.parametrize(
    "frame",
    [
        Frame({}),
        Frame({"kind": "nonsense"}),
        Frame({"kind": "return", "task_id": 3}),
        Frame({"kind": "loaded", "failure": {"reason": "weather", "message": "", "details": ""}}),
        Frame({"kind": "evaluation", "loss": "low", "parts": {}, "failure": None}),
        Frame(
            {
                "kind": "return",
                "task_id": "x",
                "status": "completed",
                "seconds": 1.0,
                "tables": ["a", "b"],
                "failure": None,
            },
            (b"",),
        ),
        Frame({"kind": "load", "fn_ref": "not a reference"}),
        Frame({"kind": "simulate", "task": {}, "timeout": None}),
        Frame({"kind": "evaluate", "targets": [], "replicates": []}),
        Frame({"kind": "evaluate", "targets": {}, "replicates": [3]}),
        Frame({"kind": "evaluate", "targets": {}, "replicates": 3}),
    ],
)
def test_frames_that_say_something_else_are_refused(frame: Frame) -> None:
    with pytest.raises(FrameError):
        to_answer(frame)
    with pytest.raises(FrameError):
        to_request(frame)


def test_an_outcome_has_a_finite_loss_or_a_failure() -> None:
    failure = SimFailure(FailureReason.MODEL, "no")
    with pytest.raises(ContractError):
        EvaluationOutcome(math.nan, {})
    with pytest.raises(ContractError):
        EvaluationOutcome(1.0, {"a": math.inf})
    with pytest.raises(ContractError):
        EvaluationOutcome(1.0, {}, failure)
