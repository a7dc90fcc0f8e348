"""Bundles with a `uv.lock`."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from uv import find_uv_bin

from environment_bundles import Machine, run_in
from modelops.core.errors import BundleError
from wheels import index_of, write_wheel

pytestmark = pytest.mark.integration

PROJECT = """\
[project]
name = "model"
version = "1"
requires-python = ">=3.11"
dependencies = [{dependencies}]
[dependency-groups]
dev = ["devtool"]
"""


@pytest.fixture
def indexed(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    for name in ("seir", "seirlib", "devtool"):
        machine.wheel(name, "1.0", *["seirlib"] * (name == "seir"))
    with index_of(machine.wheels) as index:
        monkeypatch.delenv("UV_OFFLINE")
        monkeypatch.delenv("UV_FIND_LINKS")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple/")
        yield machine


def locked(machine: Machine, *dependencies: str) -> Path:
    bundle = machine.bundle()
    listed = ", ".join(f'"{name}"' for name in dependencies)
    (bundle / "pyproject.toml").write_text(PROJECT.format(dependencies=listed))
    subprocess.run(
        [find_uv_bin(), "lock", "--quiet", "--python", sys.executable], cwd=bundle, check=True
    )
    return bundle


@pytest.mark.parametrize("mode", ["layered", "isolated"])
def test_a_lock_is_respected(indexed: Machine, mode: str) -> None:
    bundle = locked(indexed, "seir")
    # An export of the lock, from before: it isn't read.
    (bundle / "requirements.txt").write_text("seir==0.1\n")
    before = {path.name for path in bundle.iterdir()}
    indexed.wheel("seir", "2.0")
    indexed.wheel("seirlib", "2.0")

    environment = indexed.cache().prepare(bundle, mode)

    said = run_in(environment, "import seir, seirlib; print(seir.VERSION, seirlib.VERSION)")
    assert said == "1.0 1.0"
    look = "from importlib.util import find_spec; print(find_spec('devtool'))"
    assert run_in(environment, look) == "None"
    assert {path.name for path in bundle.iterdir()} == before


@pytest.mark.parametrize("mode", ["layered", "isolated"])
def test_other_bytes_than_the_locks_are_refused(indexed: Machine, mode: str) -> None:
    bundle = locked(indexed, "seir")
    indexed.wheel("seir", "1.0", "seirlib", other="")

    with pytest.raises(BundleError, match="Hash mismatch"):
        indexed.cache().prepare(bundle, mode)


def test_a_lock_that_the_worker_meets_needs_nothing(indexed: Machine) -> None:
    numpy = metadata.version("numpy")
    write_wheel(indexed.wheels, "numpy", numpy, {})

    environment = indexed.cache().prepare(locked(indexed, "numpy"), "layered")

    assert environment.paths == ()
    plain = indexed.bundle("numpy", name="plain")
    assert environment == indexed.cache().prepare(plain, "layered")


def test_a_lock_with_other_versions_than_the_workers_is_a_conflict(indexed: Machine) -> None:
    write_wheel(indexed.wheels, "numpy", "0.1", {})

    with pytest.raises(BundleError) as caught:
        indexed.cache().prepare(locked(indexed, "numpy"), "layered")

    assert "environment: isolated" in caught.value.hint


def test_a_lock_that_does_not_go_with_its_project_is_said(indexed: Machine) -> None:
    bundle = locked(indexed, "seir")
    (bundle / "uv.lock").write_text("version = 1\nnonsense\n")

    for mode in ("layered", "isolated"):
        with pytest.raises(BundleError, match=r"uv\.lock"):
            indexed.cache().prepare(bundle, mode)
