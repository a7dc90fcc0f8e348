"""The part of a provider's contract that needs no engine: what `compile` returns."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelops.core.errors import ProviderError, SpecError
from modelops.providers.base import Component, ProviderPlan, ProviderPlugin, run_plans
from modelops.spec import BundleSource
from modelops.testing.provider_suite import ProviderSuite

_SECRET = "a-secret-value-that-nobody-may-see"  # noqa: S105 - nobody's
_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_CLIENT_SECRET",
    "DATABASE_URL",
    "PGPASSWORD",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


class PlanChecks(ProviderSuite):
    """Checks of `compile`."""

    def test_is_found_by_its_entry_point(self) -> None:
        """It's a ProviderPlugin, and calls itself and its plans what its entry point does."""
        provider = self.provider()
        assert isinstance(provider, ProviderPlugin)
        assert provider.name == self.name
        compiled = self.compiled()
        assert (compiled.provider, compiled.env) == (self.name, self.plan().env)

    def test_compile_touches_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It opens no file and no connection, starts nothing, and imports nothing heavy."""
        home, env = tmp_path / "home", "contract-untouched"
        monkeypatch.setenv("MODELOPS_HOME", str(home))
        report = _compile_elsewhere(self.write_spec(env), tmp_path)
        assert report["touched"] == []
        assert report["heavy"] == []
        self.compiled(self.plan(env))
        assert not home.exists()
        assert not self.remains(self.folder, env)

    def test_equal_plans_give_equal_provider_plans(self, tmp_path: Path) -> None:
        """The same here, again, and in processes with other hash seeds and working folders."""
        assert self.compiled(self.plan()) == self.compiled(self.plan())
        here = json.dumps(_json(self.compiled()))
        path = self.write_spec()
        for hash_seed in ("1", "2"):
            folder = tmp_path / hash_seed
            folder.mkdir()
            for made in _compile_elsewhere(path, folder, hash_seed)["plans"]:
                assert json.dumps(made) == here

    def test_a_plan_is_json(self) -> None:
        """All of it is JSON, and comes back as it was."""
        stacks = _json(self.compiled())
        assert json.loads(json.dumps(stacks, allow_nan=False)) == stacks

    def test_the_four_components_come_in_order(self) -> None:
        """Registry, infra and workspace once each, then the runs."""
        compiled = self.compiled(self.plan(algorithms=("one", "two")))
        components = [stack.component for stack in compiled.stacks]
        assert components == [*Component, Component.ADAPTIVE]
        assert all(stack.resources for stack in compiled.stacks)

    def test_each_pinned_algorithm_has_a_stack_of_its_own(self) -> None:
        """Its stack goes by its run-id; an algorithm whose code isn't pinned has none."""
        plan = self.plan(algorithms=("one", "two", "three"))
        one, two, three = plan.algorithms
        loose = replace(two, bundle=BundleSource(directory=self.folder))
        plan = replace(plan, algorithms=(one, loose, replace(three, run_id="mine")))
        runs = [(run.run_id, run.algorithm) for run in self.compiled(plan).runs()]
        assert runs == [(run_id, run.algorithm) for run_id, run in run_plans(plan)]
        assert [algorithm for _, algorithm in runs] == ["one", "three"]
        assert runs[1][0] == "mine"

    def test_no_two_resources_have_the_same_name(self) -> None:
        """Neither in a stack, nor in those of several runs, of one algorithm too."""
        plan = self.plan(algorithms=("one", "two"))
        again = replace(plan.algorithms[0], run_id="again")
        compiled = self.compiled(replace(plan, algorithms=(*plan.algorithms, again)))
        names = Counter(
            (resource.type, resource.name)
            for stack in compiled.stacks
            for resource in stack.resources
        )
        assert [name for name, count in names.items() if count > 1] == []

    def test_what_a_resource_needs_an_earlier_one_gives(self) -> None:
        """Of its own stack, or of one that is brought up before; never of another run's."""
        known: set[str] = set()
        for stack in self.compiled(self.plan(algorithms=("one", "two"))).stacks:
            given = set(known)
            for resource in stack.resources:
                assert set(resource.needs) <= given, resource.name
                given |= set(resource.gives)
            known = known if stack.component is Component.ADAPTIVE else given
        assert {"DASK_SCHEDULER", "OBJECT_STORE_URL", "MODELOPS_BUNDLE_REGISTRY"} <= known

    def test_no_secret_is_in_a_plan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither one of the environment's variables, nor a password in a URL."""
        for variable in _SECRET_VARIABLES:
            monkeypatch.setenv(variable, _SECRET)
        text = json.dumps(_json(self.compiled()))
        assert _SECRET not in text
        assert not _PASSWORD_IN_URL.search(text)

    def test_what_it_cant_do_is_refused(self) -> None:
        """With an error that names it and says what to do."""
        refused = self.refused()
        assert refused, "refused() names nothing"
        for word, instead in refused.items():
            # Keys that aren't the provider's may be refused before it hears of them.
            with pytest.raises((ProviderError, SpecError)) as caught:
                self.compiled(self.plan(**instead))
            assert word in str(caught.value)
            assert caught.value.hint or isinstance(caught.value, SpecError)


def _json(compiled: ProviderPlan) -> list[dict[str, Any]]:
    return [stack.to_json() for stack in compiled.stacks]


def _compile_elsewhere(path: Path, folder: Path, hash_seed: str = "0") -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "modelops.testing.provider_compiling", str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
