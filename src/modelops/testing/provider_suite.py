"""What a provider's contract is checked with: its specs, its hooks, a MODELOPS_HOME of its own."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from modelops.core.settings import Home
from modelops.providers.base import ProviderPlan, ProviderPlugin
from modelops.providers.discovery import find_provider
from modelops.spec import CompiledPlan, compile_spec, load

ENV = "contract"
N_TRIALS = 4
_DIGEST = "sha256:" + "0" * 64
_MODEL = 'def simulate(params, seed):\n    return {"x": [0, 1], "y": [0.0, params["slope"]]}\n'
_TARGETS = """\
from modelops.calibration import Target, target


@target
def line():
    return Target({"x": [0, 1], "y": [0.0, 2.0]}, on="x", value="y")
"""
# Settings of the person who runs the tests, by which the engine would work on other state.
_FOREIGN = ("MODELOPS_BUNDLE", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")


class ProviderSuite(ABC):
    """How a provider is made, and what it's tried with; a subclass fills this in.

    Attributes:
        name: the provider's name; its package is installed, so that its entry point is found.
        folder: a folder of the class's own, which every spec of it may use.
    """

    name: ClassVar[str]
    folder: ClassVar[Path]

    @abstractmethod
    def spec(self, folder: Path) -> Mapping[str, Any]:
        """Return what stands under `spec` of a runtime.yaml that the provider can run.

        The suite adds the algorithms. One worker is enough.
        """

    @abstractmethod
    def refused(self) -> Mapping[str, Mapping[str, Any]]:
        """Return settings that the provider can't do: a word of the error → keys of `spec`.

        They take the place of the same keys of `spec()`. There must be one at least: no provider
        can do everything.
        """

    @abstractmethod
    def destroy(self, outputs: Mapping[str, Any]) -> bool:
        """Destroy what a resource stands for, behind the engine's back: kill it, delete it.

        Return whether that could be done: False for what isn't the provider's own to destroy.
        """

    @abstractmethod
    def remains(self, folder: Path, env: str) -> Sequence[str]:
        """Return what is there of an environment, data included, asked by other means than ours."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def own_home(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """A MODELOPS_HOME and a folder of the class's own."""
        base = tmp_path_factory.mktemp("provider")
        cls.folder = base / "folder"
        cls.folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            for variable in list(os.environ):
                if variable.startswith(_FOREIGN):
                    patch.delenv(variable)
            patch.setenv("MODELOPS_HOME", str(base / "home"))
            yield base / "home"

    def provider(self) -> ProviderPlugin:
        """Return the provider, found by its entry point as `mops` finds it."""
        return find_provider(self.name)

    def home(self) -> Home:
        """Return the home of the class."""
        return Home.current()

    def write_spec(
        self, env: str = ENV, *, algorithms: Sequence[str] = ("fit",), **instead: Any
    ) -> Path:
        """Write a runtime.yaml whose code is pinned by a digest that nobody has pushed."""
        body = {
            **self.spec(self.folder),
            **instead,
            "algorithms": {name: _algorithm() for name in algorithms},
        }
        document = {
            "apiVersion": "modelops/v1",
            "kind": "Runtime",
            "metadata": {"name": "contract", "env": env},
            "spec": body,
        }
        path = self.folder / f"{env}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def plan(
        self, env: str = ENV, *, algorithms: Sequence[str] = ("fit",), **instead: Any
    ) -> CompiledPlan:
        """Return the plan of the spec, with some keys of it replaced."""
        path = self.write_spec(env, algorithms=algorithms, **instead)
        return compile_spec(load(path), base=self.folder, check_bundles=False)

    def compiled(self, plan: CompiledPlan | None = None) -> ProviderPlan:
        """Return what the provider makes of a plan."""
        return self.provider().compile(self.plan() if plan is None else plan)

    def write_bundle(self) -> Path:
        """Write a bundle that runs, and return its directory."""
        bundle = self.folder / "bundle"
        bundle.mkdir(exist_ok=True)
        manifest = {"name": "line", "version": "1", "entrypoint": "model:simulate"}
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        (bundle / "model.py").write_text(_MODEL)
        (bundle / "targets.py").write_text(_TARGETS)
        return bundle


def _algorithm() -> dict[str, Any]:
    return {
        "type": "optuna",
        "parameters": {"sampler": "random", "n_trials": N_TRIALS, "n_parallel": 2, "seed": 7},
        "entrypoint": {
            "bundleRef": f"line@{_DIGEST}",
            "targets": ["line"],
            "space": {"slope": {"low": 0.0, "high": 4.0}},
        },
    }
