"""Which outputs of a run are found, in whichever environment they are."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.analysis.stored_outputs import StoredOutputs, number_words
from modelops.worker.outputs import from_ipc
from stored_run import ENVIRONMENT, FN_REF, StoredRun, simulated

OTHER = "0" * 64


def test_outputs_are_found_by_trial_and_replicate(tmp_path: Path) -> None:
    made = StoredRun(tmp_path, missing=(3,))
    outputs = made.outputs()
    for record in made.run.records:
        found = outputs.of_trial(record.trial)
        if record.trial.number == 3:
            assert found is None
            assert outputs.of_replicates(record.trial) == [None, None]
            continue
        assert found is not None
        series = [from_ipc(item.tables["output"]).column("y").to_pylist() for item in found]
        params = record.trial.parameters.params
        assert series == [simulated(params, seed, made.points) for seed in record.trial.seeds]


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_those_that_were_simulated_for_the_run_are_preferred(tmp_path: Path, scheme: str) -> None:
    """The same tasks are stored for another run in the environment of this machine."""
    made = StoredRun(tmp_path)
    root = Path(made.store) / "results-store/v1"
    shutil.copytree(root / ENVIRONMENT / "run", root / OTHER / "another")
    url = made.store
    if scheme:
        import fsspec

        url = f"{scheme}{made.store}"
        fsspec.filesystem("memory").put(made.store, str(made.store), recursive=True)
    outputs = StoredOutputs(url, "run", made.plan, FN_REF, OTHER)
    assert outputs._environments == [ENVIRONMENT, OTHER]
    assert outputs.of_trial(made.run.records[0].trial) is not None
    of_another = StoredOutputs(url, "another", made.plan, FN_REF, ENVIRONMENT)
    assert of_another._environments == [OTHER, ENVIRONMENT]


def test_a_trial_is_never_put_together_of_two_environments(tmp_path: Path) -> None:
    one, other = StoredRun(tmp_path / "a"), StoredRun(tmp_path / "b")
    trial = one.run.records[0].trial
    root = Path(one.store) / "results-store/v1"
    shutil.copytree(Path(other.store) / "results-store/v1" / ENVIRONMENT, root / OTHER)
    # Of the run's own environment nothing is left that can be read.
    for segment in (root / ENVIRONMENT / "run").iterdir():
        segment.write_bytes(b"MOPSSEG1")
    found = one.outputs().of_trial(trial)
    assert found is not None
    assert len(found) == 2


def test_a_store_that_is_empty(tmp_path: Path) -> None:
    made = StoredRun(tmp_path)
    shutil.rmtree(made.store)
    assert made.outputs().of_trial(made.run.records[0].trial) is None


@given(st.sets(st.integers(0, 60)))
def test_numbers_in_words_name_each_of_them(numbers: set[int]) -> None:
    named: set[int] = set()
    for span in filter(None, number_words(numbers).split(", ")):
        first, _, last = span.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers
    assert number_words([9, 0, 1, 2, 7, 10]) == "0-2, 7, 9-10"
