"""The shipped suite finds what it is for: each faulty provider fails the test of its fault."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from modelops.testing.provider_plans import PlanChecks

# Each check runs the provider in processes of its own.
pytestmark = pytest.mark.integration

# Each changes what the local provider does in one place.
FAULTS = {
    "ReadsAFile": """
        def compile(self, plan):
            open(__file__).close()
            return super().compile(plan)
        """,
    "StartsAProcess": """
        def compile(self, plan):
            subprocess.run(["true"], check=True)
            return super().compile(plan)
        """,
    "MakesAFolder": """
        def compile(self, plan):
            Home.current().root.mkdir(exist_ok=True)
            return super().compile(plan)
        """,
    "ImportsTheEngine": """
        def compile(self, plan):
            import pulumi
            return super().compile(plan)
        """,
    "DependsOnTheHashSeed": """
        def compile(self, plan):
            letters = list({"a", "b", "c", "d", "e", "f", "g", "h"})
            return with_property(super().compile(plan), letters)
        """,
    "DependsOnTheFolder": """
        def compile(self, plan):
            return with_property(super().compile(plan), os.getcwd())
        """,
    "DependsOnTheCall": """
        def compile(self, plan):
            return with_property(super().compile(plan), next(counter))
        """,
    "IsNoJson": """
        def compile(self, plan):
            return with_property(super().compile(plan), {1, 2})
        """,
    "HasAnotherOrder": """
        def compile(self, plan):
            made = super().compile(plan)
            return replace(made, stacks=made.stacks[::-1])
        """,
    "HasOneRunOnly": """
        def compile(self, plan):
            made = super().compile(plan)
            return replace(made, stacks=made.stacks[:4])
        """,
    "NamesAllRunsAlike": """
        def compile(self, plan):
            made = super().compile(plan)
            stacks = [
                replace(stack, resources=tuple(
                    replace(item, name="run" if stack.run_id else item.name)
                    for item in stack.resources
                ))
                for stack in made.stacks
            ]
            return replace(made, stacks=tuple(stacks))
        """,
    "NeedsWhatNobodyGives": """
        def compile(self, plan):
            made = super().compile(plan)
            (item,) = made.stacks[0].resources
            item = replace(item, needs=("DASK_SCHEDULER",))
            first = replace(made.stacks[0], resources=(item,))
            return replace(made, stacks=(first, *made.stacks[1:]))
        """,
    "TellsASecret": """
        def compile(self, plan):
            return with_property(super().compile(plan), os.environ.get("PGPASSWORD"))
        """,
    "WritesAPassword": """
        def compile(self, plan):
            return with_property(super().compile(plan), "postgresql://me:pass@db/journal")
        """,
    "PassesOverWhatItCantDo": """
        def compile(self, plan):
            groups = tuple(replace(group, spot=False) for group in plan.worker_groups)
            return super().compile(replace(plan, worker_groups=groups))
        """,
    "HasNoHint": """
        def compile(self, plan):
            try:
                return super().compile(plan)
            except ProviderError as error:
                raise ProviderError(error.message) from None
        """,
    "HasAnotherName": """
        name = "another"
        """,
}
MODULE = """\
import itertools
import os
import subprocess
from dataclasses import replace

from modelops.core.errors import ProviderError
from modelops.core.settings import Home
from modelops.providers.local.provider import LocalProvider

counter = itertools.count()


class PickyProvider(LocalProvider):
    def compile(self, plan):
        if any(group.spot for group in plan.worker_groups):
            raise ProviderError("This machine isn't taken away: spot.", hint="Remove spot.")
        return super().compile(plan)


def with_property(made, value):
    first = made.stacks[0]
    resource = first.resources[0]
    changed = replace(resource, properties={**resource.properties, "fault": value})
    stack = replace(first, resources=(changed, *first.resources[1:]))
    return replace(made, stacks=(stack, *made.stacks[1:]))


class Faultless(PickyProvider):
    name = "faulty"

    def compile(self, plan):
        return replace(super().compile(plan), provider="faulty")
"""


class Contract(PlanChecks):
    name = "faulty"

    def spec(self, folder: Path) -> Mapping[str, Any]:
        return {"provider": {"name": "faulty"}, "databases": {"journal": {}}}

    def refused(self) -> Mapping[str, Mapping[str, Any]]:
        return {"spot": {"workerGroups": {"default": {"spot": True}}}}

    def destroy(self, outputs: Mapping[str, Any]) -> bool:
        raise NotImplementedError("the engine isn't tried here")

    def remains(self, folder: Path, env: str) -> Sequence[str]:
        return ()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modelops_home: Path) -> Any:
    """Install a provider as a package does: a module, and an entry point in its metadata."""
    site = tmp_path / "site"
    metadata = site / "faulty-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    Contract.folder = tmp_path

    def write(name: str, body: str) -> Contract:
        text = MODULE + f"\n\nclass {name}Provider(Faultless):\n    pass\n"
        text += "".join(f"    {line}\n" for line in dedent(body).splitlines())
        (site / "faulty_provider.py").write_text(text)
        point = f"[modelops.providers]\nfaulty = faulty_provider:{name}Provider\n"
        (metadata / "entry_points.txt").write_text(point)
        return Contract()

    yield write
    sys.modules.pop("faulty_provider", None)


def call(contract: Contract, check: str, folder: Path) -> None:
    known: dict[str, Any] = {"tmp_path": folder / "other", "monkeypatch": pytest.MonkeyPatch()}
    known["tmp_path"].mkdir()
    method = getattr(contract, check)
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    try:
        method(**{name: known[name] for name in names})
    finally:
        known["monkeypatch"].undo()


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("ReadsAFile", "test_compile_touches_nothing"),
        ("StartsAProcess", "test_compile_touches_nothing"),
        ("MakesAFolder", "test_compile_touches_nothing"),
        ("ImportsTheEngine", "test_compile_touches_nothing"),
        ("DependsOnTheHashSeed", "test_equal_plans_give_equal_provider_plans"),
        ("DependsOnTheFolder", "test_equal_plans_give_equal_provider_plans"),
        ("DependsOnTheCall", "test_equal_plans_give_equal_provider_plans"),
        ("IsNoJson", "test_a_plan_is_json"),
        ("HasAnotherOrder", "test_the_four_components_come_in_order"),
        ("HasOneRunOnly", "test_each_pinned_algorithm_has_a_stack_of_its_own"),
        ("NamesAllRunsAlike", "test_no_two_resources_have_the_same_name"),
        ("NeedsWhatNobodyGives", "test_what_a_resource_needs_an_earlier_one_gives"),
        ("TellsASecret", "test_no_secret_is_in_a_plan"),
        ("WritesAPassword", "test_no_secret_is_in_a_plan"),
        ("PassesOverWhatItCantDo", "test_what_it_cant_do_is_refused"),
        ("HasNoHint", "test_what_it_cant_do_is_refused"),
        ("HasAnotherName", "test_is_found_by_its_entry_point"),
    ],
)
def test_each_fault_is_found(install: Any, fault: str, check: str, tmp_path: Path) -> None:
    contract = install(fault, FAULTS[fault])
    with pytest.raises((AssertionError, pytest.fail.Exception, TypeError)):
        call(contract, check, tmp_path)


def test_a_provider_without_a_fault_passes_all(install: Any, tmp_path: Path) -> None:
    contract = install("No", "")
    checks = [name for name in dir(contract) if name.startswith("test_")]
    assert len(checks) >= 9
    for number, check in enumerate(checks):
        (tmp_path / str(number)).mkdir()
        call(contract, check, tmp_path / str(number))
