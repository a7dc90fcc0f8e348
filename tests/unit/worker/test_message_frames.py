import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    AlignedOutputs,
    ContractError,
    FailureReason,
    SimFailure,
)
from modelops.contracts.execution import Isolation
from modelops.worker.frames import Frame, FrameError, decode, encode
from modelops.worker.message_frames import to_answer, to_frame, to_request
from modelops.worker.messages import (
    Align,
    Answer,
    Evaluate,
    Evaluated,
    EvaluationOutcome,
    Load,
    Loaded,
    Open,
    Points,
    Ran,
    Request,
    Rows,
    Run,
)

STREAMS = 2
ROWS = (0).to_bytes(8, "little") * 3
"""Of one table: its stream, where it begins there, and its rows."""

text = st.text(st.characters(codec="utf-8"), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
tables = st.dictionaries(text, st.binary(max_size=30), max_size=3)
rows = st.builds(Rows, st.integers(0, STREAMS - 1), st.integers(0, 2**40), st.integers(-1, 2**40))
in_streams = st.dictionaries(text, rows, max_size=3)
failures = st.builds(SimFailure, st.sampled_from(FailureReason), text, text)
requests = (
    st.builds(Load, st.just("model:simulate"))
    | st.builds(Open, text, text, st.lists(text, max_size=2).map(tuple))
    | st.builds(
        Run,
        st.sampled_from(["model:simulate", "a.b:c.d"]),
        st.binary(max_size=30),
        st.lists(text, max_size=2).map(tuple),
        st.floats(0, 1e6) | st.just(math.inf),
        st.sampled_from(Isolation),
        st.none() | st.integers(0, 2**40),
        st.none() | st.integers(0, 2**20),
        st.floats(0, 1e6) | st.just(math.inf),
        text,
    )
    | st.builds(
        Evaluate,
        st.dictionaries(text, text),
        st.lists(
            st.lists(in_streams | tables.map(AlignedOutputs), max_size=3).map(tuple), max_size=3
        ).map(tuple),
        st.tuples(*[st.binary(max_size=30)] * STREAMS),
    )
    | st.builds(Align, st.dictionaries(text, text), tables)
)
answers = (
    st.builds(Loaded, st.none() | failures)
    | st.builds(
        Ran,
        st.binary(max_size=30),
        st.integers(0, 2**31),
        st.lists(st.integers(0, 2**31), max_size=3).map(tuple),
        finite,
        st.none() | failures,
        st.booleans(),
        st.integers(0, 2**31),
        st.booleans(),
        st.lists(st.integers(0, 2**31), max_size=3).map(tuple),
    )
    | st.builds(Points, st.none() | tables, st.booleans())
    | st.builds(
        Evaluated,
        st.lists(
            st.builds(EvaluationOutcome, finite, st.dictionaries(text, finite)), max_size=3
        ).map(tuple),
    )
)


@given(requests)
def test_a_request_comes_back_as_it_was(request_sent: Request) -> None:
    assert to_request(decode(encode(to_frame(request_sent)))) == request_sent


@given(answers)
def test_an_answer_comes_back_as_it_was(answer: Answer) -> None:
    assert to_answer(decode(encode(to_frame(answer)))) == answer


@given(failures)
def test_a_failed_evaluation_comes_back_without_a_loss(failure: SimFailure) -> None:
    evaluated = to_answer(
        decode(encode(to_frame(Evaluated((EvaluationOutcome(failure=failure),)))))
    )

    assert isinstance(evaluated, Evaluated)
    (outcome,) = evaluated.outcomes
    assert math.isnan(outcome.loss)
    assert (outcome.failure, dict(outcome.parts)) == (failure, {})


def test_what_has_no_utf8_form_is_sent_as_escapes() -> None:
    sent = Loaded(SimFailure(FailureReason.MODEL, "a \udcff byte", "\ud800"))

    answer = to_answer(decode(encode(to_frame(sent))))

    assert answer == Loaded(SimFailure(FailureReason.MODEL, "a \\udcff byte", "\\ud800"))


@pytest.mark.parametrize(
    "frame",
    [
        Frame({}),
        Frame({"kind": "nonsense"}),
        Frame({"kind": "ran", "count": 3}, (b"",)),
        Frame({"kind": "loaded", "failure": {"reason": "weather", "message": "", "details": ""}}),
        Frame({"kind": "evaluation", "loss": "low", "parts": {}, "failure": None}),
        Frame({"kind": "load", "fn_ref": "not a reference"}),
        Frame({"kind": "open", "bundle_dir": "a", "directory": "b", "paths": "c"}),
        Frame(dict(to_frame(Run("a:b", b"")).header)),
        Frame({**to_frame(Run("a:b", b"")).header, "isolation": "none"}, (b"",)),
        Frame({**to_frame(Run("a:b", b"")).header, "memory": -1}, (b"",)),
        Frame({**to_frame(Run("a:b", b"")).header, "files": True}, (b"",)),
        Frame({"kind": "evaluate", "targets": {}, "trials": [], "aligned": []}),
        Frame({"kind": "evaluate", "targets": {}, "trials": [], "aligned": []}, (b"x",)),
        Frame({"kind": "evaluate", "targets": [], "trials": [], "aligned": []}, (b"",)),
        Frame({"kind": "evaluate", "targets": {}, "trials": 3, "aligned": []}, (b"",)),
        Frame({"kind": "evaluate", "targets": {}, "trials": [3], "aligned": []}, (b"",)),
        Frame({"kind": "evaluate", "targets": {}, "trials": [[["a"]]], "aligned": []}, (b"",)),
        Frame({"kind": "evaluate", "targets": {}, "trials": [[["a"]]], "aligned": []}, (ROWS,)),
        Frame({"kind": "evaluate", "targets": {}, "trials": [[[]]], "aligned": []}, (ROWS, b"")),
        Frame({"kind": "evaluate", "targets": {}, "trials": [], "aligned": [[0, 0]]}, (b"",)),
        Frame({"kind": "evaluate", "targets": {}, "trials": [[[]]], "aligned": [0]}, (b"",)),
        Frame(
            {"kind": "evaluate", "targets": {}, "trials": [[["a"]]], "aligned": [[0, 0]]}, (b"",)
        ),
        Frame({"kind": "align", "targets": {}, "tables": ["a"]}),
        Frame({"kind": "points", "targets": ["a"], "is_final": False}),
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
