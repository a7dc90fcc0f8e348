"""The real `mops`, on the real engine, in a MODELOPS_HOME of each test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.core.automation import ENGINE_VERSION
from modelops.core.tools import tool_cache
from postgres_process import postgres_binaries, reachable_folder

# In the environment of all that a test starts. Detached processes get few of our variables, but
# all that speak of the locale.
MARK = "LC_MODELOPS_TEST"

BUNDLE = """\
import numpy as np


def simulate(params, seed):
    rng = np.random.default_rng(seed)
    x = np.arange(5)
    return {"x": x, "y": params["slope"] * x + rng.normal(0, 0.1, 5)}
"""
TARGETS = """\
from modelops.calibration import Target, target


@target
def line():
    return Target({"x": [0, 1, 2, 3, 4], "y": [0.0, 2.0, 4.0, 6.0, 8.0]}, on="x", value="y")
"""


@dataclass(frozen=True)
class Mops:
    """The command line, with a spec and a home of its own."""

    folder: Path
    environment: dict[str, str]
    prefix: tuple[str, ...] = ()

    def under(self, *prefix: str) -> Mops:
        """Return the same, started by another command."""
        return replace(self, prefix=prefix)

    def with_environment(self, **variables: str | None) -> Mops:
        """Return the same with other environment variables; None leaves one out."""
        changed = {**self.environment, **variables}
        return replace(self, environment={k: v for k, v in changed.items() if v is not None})

    @property
    def _command(self) -> list[str]:
        return [*self.prefix, str(Path(sys.executable).with_name("mops"))]

    @property
    def home(self) -> Path:
        return Path(self.environment["MODELOPS_HOME"])

    def __call__(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == expect, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return at once; it leads a process group, as on a terminal."""
        return subprocess.Popen(
            [*self._command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def json(self, *arguments: str, expect: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", expect=expect).stdout)

    def write_model(self, code: str) -> None:
        (self.folder / "model.py").write_text(code)

    def write_spec(
        self,
        *,
        workers: int = 1,
        env: str = "dev",
        databases: dict[str, Any] | None = None,
        keep_outputs: bool = False,
        **parameters: Any,
    ) -> None:
        """Write a spec; runs simulate anew what other runs did, unless outputs are kept."""
        given = {"n_trials": 8, "n_parallel": 4, "replicates": 2, "seed": 7, **parameters}
        spec: dict[str, Any] = {
            "apiVersion": "modelops/v1",
            "kind": "Runtime",
            "metadata": {"name": "test", "env": env},
            "spec": {
                "provider": {"name": "local"},
                "workerGroups": {"default": {"min": workers, "max": workers}},
                "algorithms": {
                    "fit": {
                        "type": "optuna",
                        "parameters": given,
                        "execution": {"keepOutputs": keep_outputs},
                        "entrypoint": {
                            "bundle": ".",
                            "targets": ["line"],
                            "space": {"slope": {"low": 0.0, "high": 4.0}},
                        },
                    }
                },
            },
        }
        if databases is not None:
            spec["spec"]["databases"] = databases
        (self.folder / "runtime.yaml").write_text(yaml.safe_dump(spec))


@pytest.fixture
def mops(tmp_path: Path) -> Iterator[Mops]:
    """`mops` in a folder with a small bundle and its spec; all is taken down afterwards."""
    engine = tool_cache() / f"pulumi-v{ENGINE_VERSION}" / "bin" / "pulumi"
    assert engine.exists(), "the engine isn't built: make test-tools"
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "manifest.json").write_text(
        json.dumps({"name": "line", "version": "1", "entrypoint": "model:simulate"})
    )
    (folder / "targets.py").write_text(TARGETS)
    (folder / ".mopsignore").write_text("runtime.yaml\n")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MODELOPS_BUNDLE", "PULUMI_"))
    }
    # Behind a link and with a blank in its name, as homes on clusters and laptops may be.
    (tmp_path / "a home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a home")
    (tmp_path / "tmp").mkdir()
    environment |= {
        "MODELOPS_HOME": str(tmp_path / "link"),
        "NO_COLOR": "1",
        "TMPDIR": str(tmp_path / "tmp"),
        MARK: uuid.uuid4().hex,
    }
    # The engine's many short processes needn't collect what the system takes back at their end.
    environment |= {"GOGC": "400"}
    command = Mops(folder, environment)
    command.write_model(BUNDLE)
    command.write_spec()
    yield command
    if (command.home / "pulumi").exists():
        command("down", "--delete-data", "--yes")


@pytest.fixture
def _home() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def mops_with_postgres(_home: Path, mops: Mops) -> Mops:
    """`mops` in a home that the user whom PostgreSQL runs as can reach."""
    postgres_binaries()
    # Made by mops itself, as a user's is, and behind a link with a blank in its name.
    (_home / "link").symlink_to(_home / "a home")
    (_home / "a home").mkdir(mode=0o700)
    mops.environment["MODELOPS_HOME"] = str(_home / "link")
    (_home / "tmp").mkdir()
    (_home / "tmp").chmod(0o1777)
    mops.environment["TMPDIR"] = str(_home / "tmp")
    mops.write_spec(databases={"journal": {"engine": "postgres"}})
    return mops
