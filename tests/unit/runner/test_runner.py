"""A run that another runner brings to its end while one waits for it."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.runner.journal import Journal, RunState
from modelops.runner.request import RunEnvironment, RunRequest
from modelops.runner.runner import Runner
from modelops.runner.termination import Termination
from unit.runner.simulated_run import make_plan


def test_a_run_that_was_settled_while_one_waited_for_it_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, now = f"sqlite:///{tmp_path}/runs.db", datetime.datetime.now(datetime.UTC)

    @contextmanager
    def had_by_another(journal: Journal, *_: object, **__: object) -> Iterator[None]:
        with Journal.open(url) as other:
            other.finish("run", RunState.FAILED, "The time is up", now)
        yield

    monkeypatch.setattr("modelops.runner.runner.held_lease", had_by_another)
    registry = f"oci-layout://{tmp_path}/registry"
    # Nobody answers there, so that a run which went on would end as failed with another message.
    environment = RunEnvironment("tcp://127.0.0.1:1", url, (tmp_path / "store").as_uri(), registry)
    request = RunRequest("run", "dev", make_plan(n_trials=3))
    runner = Runner(request, environment, RegistryAccess(registry), None, Termination())

    assert runner.run() == 0

    with Journal.open(url) as journal:
        progress = journal.progress("run")
    assert progress is not None
    assert (progress.state, progress.message) == (RunState.FAILED, "The time is up")
