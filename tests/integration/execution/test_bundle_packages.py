"""Bundles that ask for packages which the worker hasn't: their models run with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from environment_bundles import Machine, offline_machine
from integration.execution.local_machine import SECONDS, LocalMachine, failed, values
from modelops.contracts import EnvironmentMode, Execution, FailureReason

pytestmark = pytest.mark.integration

MODEL = """
import sys

import seir


def simulate(params, seed):
    return {"version": seir.VERSION, "interpreter": sys.executable, "seed": seed}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder = tmp_path / "machine"
    folder.mkdir()
    return offline_machine(folder, monkeypatch)


@pytest.fixture
def uv_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each run of uv."""
    runs, program = tmp_path / "runs", tmp_path / "uv"
    runs.touch()
    program.write_text(f'#!/bin/sh\necho "$1" >> "{runs}"\nexec "{find_uv_bin()}" "$@"\n')
    program.chmod(0o700)
    monkeypatch.setattr("modelops.environments.uv.find_uv_bin", lambda: str(program))
    return runs


@pytest.mark.parametrize("mode", list(EnvironmentMode))
def test_a_model_has_the_packages_that_its_bundle_asks_for(
    local: LocalMachine, machine: Machine, mode: EnvironmentMode
) -> None:
    machine.wheel("seir", "1.0")
    machine.wheel("seir", "2.0")
    refs = {
        version: local.push(MODEL, requirements_txt=f"seir=={version}\n")
        for version in ("1.0", "2.0")
    }

    with local.service(execution=Execution(environment=mode)) as service:
        # Two bundles whose packages exclude each other, at the same time.
        futures = [
            (version, service.submit("model:simulate", {}, seed, bundle_ref=ref))
            for seed in range(10)
            for version, ref in refs.items()
        ]
        seen = [(version, values(future.result(SECONDS))) for version, future in futures]

    assert [row["version"] for _, row in seen] == [version for version, _ in seen]
    interpreters = {row["interpreter"] for _, row in seen}
    if mode is EnvironmentMode.LAYERED:
        assert interpreters == {sys.executable}
    else:
        assert len(interpreters) == 2
        assert sys.executable not in interpreters


def test_results_of_other_packages_are_others(
    local: LocalMachine, machine: Machine, tmp_path: Path
) -> None:
    """A requirement without a version is met by what there is: the bundle doesn't change."""
    ref = local.push(MODEL, requirements_txt="seir\n")

    def version(home: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MODELOPS_HOME", str(tmp_path / home))
            with local.service(1, object_store_url=str(tmp_path / "store")) as service:
                future = service.submit("model:simulate", {}, 1, bundle_ref=ref)
                return str(values(future.result(SECONDS))["version"])

    machine.wheel("seir", "1.0")
    assert version("one") == "1.0"
    machine.wheel("seir", "2.0")
    assert version("one") == "1.0"
    assert version("two") == "2.0"
    assert version("one") == "1.0"


@pytest.mark.parametrize("mode", list(EnvironmentMode))
def test_packages_that_are_nowhere_fail_the_bundle_at_once(
    local: LocalMachine, machine: Machine, uv_runs: Path, mode: EnvironmentMode
) -> None:
    machine.wheel("seir", "1.0")
    ref = local.push(MODEL, requirements_txt="seir>=3\n")
    other = local.push("def simulate(params, seed):\n    return {'seed': seed}\n")

    with local.service(execution=Execution(environment=mode)) as service:
        futures = [service.submit("model:simulate", {}, n, bundle_ref=ref) for n in range(50)]
        failures = {failed(future.result(SECONDS))[:2] for future in futures}
        tries = uv_runs.read_text().split()
        late = failed(service.submit("model:simulate", {}, 50, bundle_ref=ref).result(SECONDS))
        assert uv_runs.read_text().split() == tries
        fine = service.submit("model:simulate", {}, 1, bundle_ref=other).result(SECONDS)
        assert values(fine) == {"seed": 1}

    ((reason, message),) = failures
    assert (reason, message) == late[:2]
    assert reason is FailureReason.BUNDLE
    assert "seir>=3" in message
    assert tries.count("pip") == 1
