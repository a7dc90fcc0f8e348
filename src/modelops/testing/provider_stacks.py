"""The part of a provider's contract that runs on the real engine."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BindingOutputs
from modelops.core.errors import NotThereError
from modelops.infra.chain import StackChain
from modelops.infra.stack import StackResult, StackStatus
from modelops.providers.base import (
    OBJECT_STORE_BINDING,
    REGISTRY_BINDINGS,
    Component,
    database_binding,
    run_part,
)
from modelops.providers.health import PartState
from modelops.runner.results import read_trials
from modelops.testing.provider_suite import ENV, N_TRIALS, ProviderSuite

ENGINE_SECONDS = 600
"""The limit of a test that runs the engine, many times in some."""

_RUN_SECONDS = 120.0
_LOOK_AGAIN_SECONDS = 0.2
_HEALTH_SECONDS = 20.0
_ONCE = (Component.REGISTRY, Component.INFRA, Component.WORKSPACE)
_REGISTRY = "MODELOPS_BUNDLE_REGISTRY"
_EVERY_RUN = ("DASK_SCHEDULER", "OBJECT_STORE_URL", _REGISTRY, "DATABASE_URL")


@dataclass(frozen=True)
class Environment:
    """An environment that is up.

    Attributes:
        chain: what can be done to it; its code is pinned.
        results: what bringing each stack up gave, in order.
    """

    chain: StackChain
    results: tuple[StackResult, ...]

    @property
    def runs(self) -> list[StackResult]:
        """The results of the adaptive stacks."""
        return [result for result in self.results if result.run_id is not None]

    def bindings(self, component: Component) -> BindingOutputs:
        """Return what a stack that exists once handed on."""
        return next(item.bindings for item in self.results if item.component is component)

    def trials(self, run_id: str) -> list[dict[str, Any]]:
        """Read a run's results from the object store."""
        with self.chain.reach(Component.INFRA, OBJECT_STORE_BINDING) as reached:
            return read_trials(reached.env[OBJECT_STORE_BINDING], run_id)

    def bindings_now(self) -> list[BindingOutputs]:
        """Return what each stack hands on now, by the engine."""
        return [self.chain.bindings(item.component, item.run_id) for item in self.results]

    def bindings_then(self) -> list[BindingOutputs]:
        """Return what each stack handed on when it came up."""
        return [item.bindings for item in self.results]


class StackChecks(ProviderSuite):
    """Checks of what the engine makes of the provider's plans."""

    @pytest.fixture(scope="class")
    @classmethod
    def environment(cls, own_home: Path) -> Iterator[Environment]:
        """An environment that is up, whose two runs have ended."""
        with cls().brought_up(ENV, algorithms=("one", "two")) as environment:
            yield environment

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_the_stacks_hand_on_what_a_run_needs(self, environment: Environment) -> None:
        """Each binding is there once, as `env` or as a reference to a secret."""
        for run in environment.runs:
            for name in _EVERY_RUN:
                assert _is_bound_once(run.bindings, name), name
        for database in environment.chain.plan.databases:
            name = database_binding(database.name)
            assert _is_bound_once(environment.bindings(Component.INFRA), name), name
        workspace = environment.bindings(Component.WORKSPACE)
        scheduler = urlsplit(workspace.env["DASK_SCHEDULER"])
        addresses = [(at.host, at.port) for at in workspace.addresses.values()]
        assert (scheduler.hostname, scheduler.port) in addresses

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_what_a_plan_gives_is_handed_on(self, environment: Environment) -> None:
        """By the stack that the resource is in, which then knows all that it needs too."""
        stacks = environment.chain.provider_plan().stacks
        for stack, result in zip(stacks, environment.results, strict=True):
            known = set(result.bindings.env) | set(result.bindings.secrets)
            for resource in stack.resources:
                assert {*resource.needs, *resource.gives} <= known, resource.name

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_no_secret_is_where_it_can_be_read(self, environment: Environment) -> None:
        """No password in `env`; no value that a reference leads to in the state."""
        state = self.home().pulumi_state
        kept = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
        assert kept
        for bindings in environment.bindings_then():
            for name, value in bindings.env.items():
                assert urlsplit(value).password is None, name
            for path in _secret_files(bindings):
                assert path.stat().st_mode & 0o077 == 0, path
                secret = path.read_bytes().strip()
                assert secret, path
                assert not any(secret in content for content in kept), path

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_up_again_changes_nothing(self, environment: Environment) -> None:
        """Neither does a preview speak of a change."""
        previews = environment.chain.preview_all().values()
        assert [set(changes) for changes in previews] == [{"same"}] * 5
        results: list[StackResult] = []
        environment.chain.apply(results.append)
        assert [set(result.changes) for result in results] == [{"same"}] * 5
        assert [result.bindings for result in results] == environment.bindings_then()

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_everything_that_is_up_is_there(self, environment: Environment) -> None:
        """`look` and `refresh` find nothing dead or gone, of ended runs either."""
        for stack in environment.results:
            for status in (
                environment.chain.look(stack.component, stack.run_id),
                environment.chain.refresh(stack.component, stack.run_id),
            ):
                assert status.is_up
                assert status.dead == ()

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_every_part_is_well(self, environment: Environment) -> None:
        """`health` names each resource of the plan, in order; a run that ended is finished."""
        chain = environment.chain
        for stack in chain.provider_plan().stacks:
            _, parts = chain.health(stack.component, stack.run_id, seconds=_HEALTH_SECONDS)
            assert [part.part for part in parts] == [item.name for item in stack.resources]
            assert [(part.part, part.reason) for part in parts if not part.is_well] == []
            if stack.run_id is not None:
                assert PartState.FINISHED in [part.state for part in parts]

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_the_log_of_a_run_can_be_read(self, environment: Environment) -> None:
        """Its parts are listed; their logs are whole lines, in part or followed too."""
        provider, plan = environment.chain.provider, environment.chain.provider_plan()
        parts = provider.parts(plan)
        for run in environment.runs:
            assert run.run_id is not None
            part = run_part(run.run_id)
            assert parts[part] is Component.ADAPTIVE
            lines = list(provider.logs(plan, part))
            assert lines
            assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
            assert list(provider.logs(plan, part, tail=1)) == lines[-1:]
            assert list(provider.logs(plan, part, tail=0)) == []
            following = provider.logs(plan, part, follow=True)
            assert list(takewhile(bool, following)) == lines
            assert isinstance(following, Generator)
            following.close()
        with pytest.raises(NotThereError):
            list(provider.logs(plan, "no-such-part"))

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_secrets_can_be_set_and_deleted(self, environment: Environment) -> None:
        """What is listed are names and sizes."""
        store = environment.chain.provider.secrets(environment.chain.provider_plan())
        store.put("contract-secret", b"first")
        store.put("contract-secret", b"the second")
        assert [(item.name, item.size) for item in store.entries()] == [("contract-secret", 10)]
        store.delete("contract-secret")
        store.delete("contract-secret")
        assert store.entries() == ()
        assert store.where

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_a_run_is_finished_and_has_results(self, environment: Environment) -> None:
        """It ended with exit code 0; its results are in the object store."""
        for run in environment.runs:
            assert run.run_id is not None
            assert _exit_codes(environment.chain.look(Component.ADAPTIVE, run.run_id)) == [0]
            assert len(environment.trials(run.run_id)) == N_TRIALS

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_what_is_reached_is_there_for_a_block(self, environment: Environment) -> None:
        """The names stay; secrets are files of the user alone, and what was made for it is gone."""
        (run, *_) = environment.runs
        handed_on = _secret_files(run.bindings)
        with environment.chain.reached(run.bindings, "") as reached:
            assert reached.env.keys() == run.bindings.env.keys()
            assert reached.secrets.keys() == run.bindings.secrets.keys()
            assert {ref.kind for ref in reached.secrets.values()} <= {"file"}
            files = _secret_files(reached)
            for path in files:
                assert path.stat().st_mode & 0o077 == 0, path
                assert path.read_bytes().strip(), path
        assert [path for path in files if path.exists()] == handed_on
        with environment.chain.reached(run.bindings, OBJECT_STORE_BINDING) as reached:
            assert set(reached.env) == {OBJECT_STORE_BINDING}
            assert reached.secrets == {}

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_what_was_destroyed_is_seen_and_comes_back(self) -> None:
        """`look` says that it's gone; `up` makes it anew, with the same bindings."""
        with self.brought_up("contract-heal", algorithms=()) as environment:
            chain, destroyed_any = environment.chain, False
            for component in _ONCE:
                resources = chain.look(component).resources
                destroyed = {name for name, now in resources.items() if self.destroy(now)}
                assert set(chain.look(component).dead) == destroyed
                _, parts = chain.health(component, seconds=_HEALTH_SECONDS)
                assert all(part.is_well for part in parts) == (not destroyed)
                healed = chain.up(component)
                assert (set(healed.changes) == {"same"}) == (not destroyed)
                assert healed.bindings == environment.bindings(component)
                assert chain.look(component).dead == ()
                assert set(chain.up(component).changes) == {"same"}
                destroyed_any = destroyed_any or bool(destroyed)
            assert destroyed_any, "destroy() could destroy nothing"

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_a_preview_touches_nothing(self) -> None:
        """Nothing is there after it that wasn't there before."""
        env = "contract-preview"
        chain = self._chain(env)
        try:
            assert any(changes.get("create") for changes in chain.preview_all().values())
            assert not self.remains(self.folder, env)
            assert not chain.status(Component.REGISTRY).is_up
            chain.up(Component.REGISTRY)
            before = self.remains(self.folder, env)
            chain.preview(Component.INFRA)
            assert self.remains(self.folder, env) == before
        finally:
            _take_down(chain)

    @pytest.mark.timeout(ENGINE_SECONDS)
    def test_down_leaves_the_data_and_then_nothing(self, environment: Environment) -> None:
        """Of the environment that it's told of; another one doesn't notice."""
        with self.brought_up("contract-down", algorithms=("one",)) as gone:
            chain, (run,) = gone.chain, gone.runs
            assert run.run_id is not None
            chain.down_all()
            assert chain.run_ids() == ()
            assert not any(chain.status(component).is_up for component in _ONCE)
            assert self.remains(self.folder, "contract-down")
            chain.up_stores()
            assert len(gone.trials(run.run_id)) == N_TRIALS
            chain.down_all()
            assert chain.provider.delete_data(chain.provider_plan())
            assert not self.remains(self.folder, "contract-down")
            assert chain.provider.delete_data(chain.provider_plan()) == ()
        for other in environment.runs:
            assert len(environment.trials(other.run_id or "")) == N_TRIALS
        assert environment.bindings_now() == environment.bindings_then()
        for component in _ONCE:
            assert environment.chain.look(component).dead == ()

    @contextmanager
    def brought_up(self, env: str, algorithms: Sequence[str]) -> Iterator[Environment]:
        """Bring an environment up as `mops up` does, and wait until its runs have ended.

        The code is pushed to the environment's own registry. All is taken down afterwards.
        """
        chain = self._chain(env, algorithms)
        results: list[StackResult] = []
        try:
            registry = chain.up_stores(results.append)
            if algorithms:
                packed = pack(self.write_bundle())
                with chain.reached(registry, REGISTRY_BINDINGS) as reached:
                    store = open_store(RegistryAccess.from_bindings(reached))
                    ref = store.push(packed.name, packed)
                chain = chain.pinned(dict.fromkeys(algorithms, ref))
            chain.up_runs(results.append)
            environment = Environment(chain, tuple(results))
            for run in environment.runs:
                _await_end(chain, run.run_id)
            yield environment
        finally:
            _take_down(chain)

    def _chain(self, env: str, algorithms: Sequence[str] = ("one",)) -> StackChain:
        return StackChain(self.plan(env, algorithms=algorithms), self.provider(), self.home())


def _take_down(chain: StackChain) -> None:
    chain.down_all()
    chain.provider.delete_data(chain.provider_plan())


def _await_end(chain: StackChain, run_id: str | None) -> None:
    """Wait until a run has ended: a stack can't tell when."""
    deadline = time.monotonic() + _RUN_SECONDS
    while True:
        status = chain.look(Component.ADAPTIVE, run_id)
        assert status.dead == (), f"the run {run_id} died"
        if _exit_codes(status):
            return
        assert time.monotonic() < deadline, f"the run {run_id} didn't end"
        time.sleep(_LOOK_AGAIN_SECONDS)


def _exit_codes(status: StackStatus) -> list[Any]:
    codes = [outputs.get("exit_code") for outputs in status.resources.values()]
    return [code for code in codes if code is not None]


def _is_bound_once(bindings: BindingOutputs, name: str) -> bool:
    return (name in bindings.env) != (name in bindings.secrets)


def _secret_files(bindings: BindingOutputs) -> list[Path]:
    return [Path(ref.name) for ref in bindings.secrets.values() if ref.kind == "file"]
