"""Options and fixtures of all tests, and the check that no process outlives them."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from postgres_process import PostgresProcess, postgres_process

# These machines are noisy: no test fails for the time that it took.
settings.register_profile("quick", deadline=None, max_examples=15)
settings.register_profile("ci", deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=10_000)
settings.load_profile("ci" if os.environ.get("CI") else "quick")

# How long processes that were told to end may take for it after the last test.
_ENDING_SECONDS = 10.0

# Packages of others, whose tests run where they are installed.
collect_ignore = ["packages"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dask-address",
        default=os.environ.get("DASK_ADDRESS"),
        help="run the tests marked `external` on the scheduler at this address",
    )


def pytest_configure() -> None:
    # A shell's background ignores SIGINT, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--dask-address"):
        return
    skip = pytest.mark.skip(reason="needs a running Dask: --dask-address or DASK_ADDRESS")
    for item in items:
        if "external" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def modelops_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A MODELOPS_HOME of the test's own, and an environment without settings of the user's."""
    home = tmp_path / "modelops"
    for name in list(os.environ):
        if name.startswith(("MODELOPS_BUNDLE", "PULUMI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MODELOPS_HOME", str(home))
    return home


@pytest.fixture(scope="session", autouse=True)
def _no_test_writes_to_the_users_own_home(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELOPS_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_process_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    deadline = time.monotonic() + _ENDING_SECONDS
    while (left := processes_below(tmp_path_factory.getbasetemp())) and time.monotonic() < deadline:
        # One that was killed may not be gone at once.
        time.sleep(0.1)
    described = [f"{process.pid}: {' '.join(command_of(process))}" for process in left]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert not described, "processes that the tests left behind"


def processes_below(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder or name it in their command."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            places = [process.cwd(), *process.cmdline()]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in p for p in places):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresProcess]:
    """A PostgreSQL for all tests of the session that only need one."""
    with postgres_process() as process:
        process.start()
        yield process


@pytest.fixture
def postgres_url(postgres_server: PostgresProcess) -> str:
    """The URL of an empty PostgreSQL database of the test's own."""
    return postgres_server.new_database(f"test_{uuid.uuid4().hex}")


def command_of(process: psutil.Process) -> list[str]:
    """Return a process's command line; nothing if it has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def has_ended(process: psutil.Process | int) -> bool:
    """Whether a process, or the one with a pid, has ended; its parent may not have noticed yet."""
    try:
        found = psutil.Process(process) if isinstance(process, int) else process
        return not found.is_running() or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
