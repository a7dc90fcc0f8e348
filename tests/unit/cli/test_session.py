"""From the command line to one run of a spec."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelops.cli import session
from modelops.cli.options import Options
from modelops.core.errors import UsageError
from modelops.infra.chain import StackChain

SPEC = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: two}
spec:
  provider: {name: local}
  algorithms:
    first: &one
      type: optuna
      entrypoint: {bundle: not-there, targets: [t], space: {a: {low: 0, high: 1}}}
    second: *one
"""


@pytest.fixture
def chain(tmp_path: Path, modelops_home: Path) -> StackChain:
    (tmp_path / "runtime.yaml").write_text(SPEC)
    return session.open_chain(Options(config=tmp_path / "runtime.yaml"))


def test_one_of_several_algorithms_must_be_named(chain: StackChain) -> None:
    with pytest.raises(UsageError, match="Name one of: first, second"):
        session.for_run(chain, None, None)
    with pytest.raises(UsageError, match="no algorithm 'third'"):
        session.for_run(chain, "third", None)


def test_a_run_concerns_its_own_algorithm_only(chain: StackChain) -> None:
    one = session.for_run(chain, "second", "mine").plan.algorithms
    assert [(algorithm.name, algorithm.run_id) for algorithm in one] == [("second", "mine")]


def test_a_spec_without_algorithms_says_so(chain: StackChain) -> None:
    empty = replace(chain, plan=replace(chain.plan, algorithms=()))
    with pytest.raises(UsageError, match="no algorithm"):
        session.for_run(empty, None, None)


@pytest.mark.parametrize("run_id", ["", "Not a label", "../up", "x" * 90])
def test_a_name_that_cant_be_a_runs_is_refused(chain: StackChain, run_id: str) -> None:
    with pytest.raises(UsageError):
        session.for_run(chain, "first", run_id)


def test_a_bundle_that_isnt_there_matters_only_to_those_who_pack(chain: StackChain) -> None:
    assert len(chain.provider_plan().stacks) == 3
    with pytest.raises(session.SpecError, match="there is no directory"):
        session.pinned_by_content(chain)
