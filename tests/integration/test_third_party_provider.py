"""Providers from packages of their own: one that works, and some that don't."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from conftest import processes_below
from modelops.services.dask_settings import SCHEDULER_ENV

if TYPE_CHECKING:
    from integration.conftest import Mops

PACKAGES = Path(__file__).parents[1] / "packages"
CONTRACT_SECONDS = 1800

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(300)]


def install(package: str, site: Path) -> None:
    """Build a package and install it into a folder, as its users would."""
    uv = Path(sys.executable).with_name("uv")
    options = ("--no-deps", "--no-build-isolation", "--offline", "--python", sys.executable)
    # A copy: builds may write beside the sources.
    source = site.parent / package
    shutil.copytree(PACKAGES / package, source)
    done = subprocess.run(
        [str(uv), "pip", "install", *options, "--target", str(site), str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def testcloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where modelops-testcloud is installed."""
    site = tmp_path_factory.mktemp("testcloud") / "site"
    install("modelops-testcloud", site)
    return site


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where modelops-broken is installed."""
    site = tmp_path_factory.mktemp("broken") / "site"
    install("modelops-broken", site)
    return site


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler that isn't ours to start or end."""
    file = tmp_path / "scheduler.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
            *("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        ],
        env={**os.environ, **SCHEDULER_ENV},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]
        assert process.poll() is None, "somebody ended the scheduler"
    finally:
        process.terminate()
        process.wait()


def write_options(mops: Mops, **options: Any) -> None:
    path = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(path.read_text())
    spec["spec"]["provider"] = options
    path.write_text(yaml.safe_dump(spec))


@pytest.mark.timeout(CONTRACT_SECONDS)
def test_it_keeps_the_contract_by_its_own_tests(testcloud: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"],
        cwd=testcloud.parent / "modelops-testcloud",
        env={**os.environ, "PYTHONPATH": str(testcloud)},
        capture_output=True,
        text=True,
        timeout=CONTRACT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "skipped" not in done.stdout


def test_mops_works_with_it_from_plan_to_down(
    mops: Mops, testcloud: Path, scheduler: str, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    mops.environment["PYTHONPATH"] = str(testcloud)
    write_options(mops, name="testcloud", folder=str(folder), scheduler=scheduler)
    listed = mops("plan", "--provider", "testcloud").stdout
    assert scheduler in listed
    assert not folder.exists()

    run_id = mops("up", "--provider", "testcloud").stdout.strip()
    mops("adaptive", "status", "--watch", "--run-id", run_id, "--quiet")
    status = mops.json("status", "--provider", "testcloud")
    assert [stack["up"] for stack in status["stacks"]] == [True] * 3
    assert [(run["run_id"], run["state"]) for run in status["runs"]] == [(run_id, "finished")]
    assert len(mops.json("adaptive", "results")) == 8
    assert "finished" in mops("adaptive", "logs").stdout
    again = mops.json("up", "--provider", "testcloud")
    assert all(set(stack["changes"]) == {"same"} for stack in again["stacks"])

    mops("down", "--provider", "testcloud", "--delete-data", "--yes")
    assert not (folder / "dev").exists()
    assert processes_below(folder) == []
    mops("status", "--provider", "testcloud", expect=4)


def test_its_options_arent_asked_of_another_provider(mops: Mops, testcloud: Path) -> None:
    mops.environment["PYTHONPATH"] = str(testcloud)
    refused = mops("plan", "--provider", "testcloud", expect=1)
    assert "spec.provider.folder" in refused.stderr
    assert "folder: /srv/testcloud" in refused.stderr
    write_options(mops, name="testcloud", folder="/srv/x", scheduler="tcp://127.0.0.1:1")
    assert "tcp://127.0.0.1:1" in mops("plan").stdout
    assert "dask-scheduler" in mops("plan", "--provider", "local").stdout


def test_broken_ones_are_named_once_and_the_others_work(
    mops: Mops, testcloud: Path, broken: Path
) -> None:
    expected = mops("plan", "--json").stdout
    mops.environment["PYTHONPATH"] = os.pathsep.join([str(broken), str(testcloud)])
    done = mops("plan", "--json")
    assert done.stdout == expected
    explodes, lacks, twin = sorted(line for line in done.stderr.splitlines() if "skipped" in line)
    assert "provider explodes" in explodes
    assert "modelops-broken 0.3.0" in explodes
    assert "RuntimeError: the library of this cloud isn't there" in explodes
    assert "provider lacks" in lacks
    assert "it lacks shared_plugins, refreshes, declare, look" in lacks
    assert "provider local" in twin
    assert "its name is taken by" in twin
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "reason"), [("explodes", "isn't there"), ("lacks", "declare")])
def test_a_broken_one_that_is_asked_for_is_an_error(
    mops: Mops, broken: Path, name: str, reason: str
) -> None:
    mops.environment["PYTHONPATH"] = str(broken)
    done = mops("plan", "--provider", name, expect=1)
    assert done.stdout == ""
    assert f"The provider '{name}' can't be used" in done.stderr
    assert reason in done.stderr
    assert "Reinstall or upgrade modelops-broken" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_lists_all_with_their_packages(mops: Mops, testcloud: Path, broken: Path) -> None:
    mops.environment["PYTHONPATH"] = os.pathsep.join([str(broken), str(testcloud)])
    plugins = mops.json("version")["plugins"]
    providers = [plugin for plugin in plugins if plugin["kind"] == "provider"]
    assert [(item["name"], item["package"], item["version"], item["ok"]) for item in providers] == [
        ("explodes", "modelops-broken", "0.3.0", False),
        ("kubernetes", "modelops", mops.json("version")["modelops"], True),
        ("lacks", "modelops-broken", "0.3.0", False),
        ("local", "modelops", mops.json("version")["modelops"], True),
        ("local", "modelops-broken", "0.3.0", False),
        ("testcloud", "modelops-testcloud", "1.2.3", True),
    ]
    assert all(bool(item["reason"]) != item["ok"] for item in providers)
    assert ("algorithm", "optuna", True) in [
        (item["kind"], item["name"], item["ok"]) for item in plugins
    ]
    shown = mops("version").stdout
    assert "provider testcloud (modelops-testcloud 1.2.3)" in shown
    assert "provider explodes (modelops-broken 0.3.0) doesn't work: RuntimeError" in shown
