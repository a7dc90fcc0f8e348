"""The port of metrics and health, asked over HTTP."""

import asyncio
import socket
import threading
import urllib.error
import urllib.request

import pytest

from modelops.core.errors import UsageError
from modelops.core.metrics_server import Health, is_wanted, loop_answers, new_registry, served

ANY = {"MODELOPS_METRICS_PORT": "0"}


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_metrics_of_a_process() -> None:
    from prometheus_client import Counter

    registry = new_registry()
    Counter("things", "Things.", registry=registry).inc(3)
    problems = {"ready": "not yet"}
    with served(registry, Health(ready=lambda: problems["ready"]), ANY) as port:
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/readyz") == (503, "not yet\n")
        problems["ready"] = ""
        assert get(port, "/readyz") == (200, "ok\n")
        status, text = get(port, "/metrics")
        assert status == 200
        assert "things_total 3.0" in text.splitlines()
        assert get(port, "/")[0] == 404


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {"MODELOPS_METRICS_PORT": str(taken.getsockname()[1])}
        with (
            pytest.raises(UsageError, match="can't be served"),
            served(new_registry(), Health(), environ),
        ):
            pass


@pytest.mark.parametrize("port", ["many", "70000"])
def test_a_port_that_is_none_is_an_error(port: str) -> None:
    with (
        pytest.raises(UsageError, match=port),
        served(new_registry(), Health(), {"MODELOPS_METRICS_PORT": port}),
    ):
        pass


def test_nothing_is_wanted_unless_the_variable_is_set() -> None:
    assert is_wanted(ANY)
    assert not is_wanted({})


def test_a_loop_that_turns_answers_and_one_that_is_held_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelops.core.metrics_server._LOOP_SECONDS", 0.5)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        assert loop_answers(loop) == ""
        held = threading.Event()
        loop.call_soon_threadsafe(held.wait)
        assert "hasn't turned" in loop_answers(loop)
        held.set()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
