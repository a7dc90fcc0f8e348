"""A store that is served by Python's own HTTP server, as the pod of a cluster's volume does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelops.core.errors import NotThereError, ResultStoreError
from modelops.result_store.collection import collect
from modelops.result_store.files import is_writable, put_whole
from modelops.result_store.index import ResultIndex
from modelops.result_store.opening import open_place
from modelops.result_store.store import ResultStore
from modelops.runner.posterior import read_posterior
from modelops.runner.results import has_results, read_profile, read_results
from unit.result_store.conftest import ENVIRONMENT, ids, task_id


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A store with segments of two runs, which share a long one."""
    store = ResultStore(str(tmp_path), ENVIRONMENT)
    store.write("run-1", ids("a", "b"), [True, True], b"long" * 100_000)
    store.write("run-1", ids("c"), [True], b"short")
    store.write("run-2", ids("d"), [True], b"other")
    with served(tmp_path) as address:
        yield address


def test_segments_are_found_and_read(url: str) -> None:
    place = open_place(url)
    assert list(place.environments()) == [ENVIRONMENT]
    assert place.has_run(ENVIRONMENT, "run-1")
    assert not place.has_run(ENVIRONMENT, "run-3")
    assert len(list(place.keys(ENVIRONMENT))) == 3

    index = ResultIndex(url, ENVIRONMENT)
    index.refresh()

    found = index.find(task_id("b"))
    assert found is not None
    assert found.position == 1
    assert index.read(found.segment) == b"long" * 100_000
    assert index.find(task_id("e")) is None


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as url:
        assert list(open_place(url).environments()) == []
        assert list(open_place(url).keys(ENVIRONMENT)) == []


def test_what_is_not_there_is_told_as_elsewhere(url: str) -> None:
    assert not has_results(url, "run-1")
    assert read_posterior(url, "run-1") is None
    with pytest.raises(NotThereError, match="has no results"):
        read_results(url, "run-1")
    with pytest.raises(NotThereError, match="has no profile"):
        read_profile(url, "run-1")


def test_a_store_that_cannot_be_reached_is_not_taken_for_an_empty_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gone = f"http://127.0.0.1:{port}"
    for read in (read_results, read_profile, read_posterior):
        with pytest.raises(ResultStoreError, match="can't be read"):
            read(gone, "run-1")


def test_results_are_read(url: str, tmp_path: Path) -> None:
    table = pa.table({"trial": [0, 1]})
    folder = tmp_path / "runs" / "run-1"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "results.parquet")
    pq.write_table(table, folder / "posterior.parquet")

    assert has_results(url, "run-1")
    assert read_results(url, "run-1").equals(table)
    assert read_posterior(url, "run-1") == table


def test_nothing_is_written_or_removed_and_that_is_said(url: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))

    assert not is_writable(url)
    with pytest.raises(ResultStoreError, match="can only be read"):
        put_whole(f"{url}/runs/x/results.parquet", b"data")
    with pytest.raises(ResultStoreError, match="can only be read") as caught:
        collect(url, older_than=None, runs={"run-1"}, now=datetime.now(UTC))

    assert "mops down --delete-data" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
