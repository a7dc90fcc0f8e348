from typing import Any

import pytest

from modelops.worker.plugin import ModelWorkerPlugin


class Worker:
    """A Dask worker of which others hear what it tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def log_event(self, topic: str, message: Any) -> None:
        self.heard.append((topic, message))


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def plugin(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> ModelWorkerPlugin:
    plugin = ModelWorkerPlugin()
    monkeypatch.setattr(plugin, "_dask_worker", worker)
    plugin.tell_when_done("key", "topic/7", b"reply")
    return plugin


def test_a_reply_is_told_when_its_task_is_done(plugin: ModelWorkerPlugin, worker: Worker) -> None:
    plugin.transition("another", "executing", "memory")
    assert worker.heard == []

    plugin.transition("key", "executing", "memory")
    plugin.transition("key", "memory", "released")

    assert worker.heard == [("topic", (7, b"reply"))]


@pytest.mark.parametrize(
    ("start", "finish"),
    [("cancelled", "memory"), ("executing", "error"), ("executing", "released")],
)
def test_a_reply_that_nobody_waits_for_is_not_told_and_not_kept(
    plugin: ModelWorkerPlugin, worker: Worker, start: str, finish: str
) -> None:
    plugin.transition("key", start, finish)
    plugin.transition("key", "executing", "memory")

    assert worker.heard == []
