from __future__ import annotations

import pytest

from environment_bundles import Machine
from modelops.core.errors import BundleError
from modelops.environments import cache as module

pytestmark = pytest.mark.integration


def _failure(machine_cache: module.EnvironmentCache, machine: Machine) -> str:
    with pytest.raises(BundleError) as caught:
        machine_cache.prepare(machine.bundle("seir"), "layered")
    return str(caught.value)


def test_a_failure_is_remembered_for_a_while(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = machine.cache()
    first = _failure(cache, machine)
    machine.wheel("seir", "1.0")

    # Nothing is tried, or it would be found.
    assert _failure(cache, machine) == first
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    assert cache.prepare(machine.bundle("seir"), "layered").paths
    assert not list(machine.root.glob(".*.failure"))


def test_other_requirements_are_tried_at_once(machine: Machine) -> None:
    cache = machine.cache()
    _failure(cache, machine)
    machine.wheel("seirlib", "1.0")

    assert cache.prepare(machine.bundle("seirlib"), "layered").paths


def test_a_worker_that_starts_later_tries_again(machine: Machine) -> None:
    _failure(machine.cache(), machine)
    machine.wheel("seir", "1.0")

    assert machine.cache().prepare(machine.bundle("seir"), "layered").paths
