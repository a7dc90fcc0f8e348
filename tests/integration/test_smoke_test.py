"""`mops dev` on the local provider: each kind of registry, and what is down is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from conftest import command_of, processes_below
from integration.registry_process import registry_binary
from modelops.bundles.access import RegistryAccess
from modelops.bundles.stores import open_store
from modelops.contracts import BindingOutputs

if TYPE_CHECKING:
    from integration.conftest import Mops

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(400)]

STEPS = ["bundle", "registry", "push", "scheduler", "workers", "run", "result"]


def bring_up(mops: Mops, **registry: Any) -> None:
    if registry:
        registry_binary()
        path = mops.folder / "runtime.yaml"
        spec = yaml.safe_load(path.read_text())
        spec["spec"]["registry"] = registry
        path.write_text(yaml.safe_dump(spec))
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")


def processes(mops: Mops, word: str) -> list[psutil.Process]:
    below = processes_below(mops.home.resolve())
    return [found for found in below if any(word in part for part in command_of(found))]


def failed_step(mops: Mops, *arguments: str) -> dict[str, Any]:
    """Return the step that failed, which is the last."""
    found = mops.json("dev", "smoke-test", *arguments, expect=1)
    assert [step["name"] for step in found["steps"]] == STEPS[: len(found["steps"])]
    assert [step["ok"] for step in found["steps"][:-1]] == [True] * (len(found["steps"]) - 1)
    last: dict[str, Any] = found["steps"][-1]
    assert (found["ok"], found["failed"], last["ok"]) == (False, last["name"], False)
    assert last["reason"]
    return last


def test_on_a_folder_of_layouts_it_passes_or_names_what_is_down(mops: Mops) -> None:
    down = mops("dev", "smoke-test", expect=1)
    assert "failed at the step registry" in down.stderr
    assert "mops up" in down.stderr
    mops("dev", "test-connection", expect=1)
    bring_up(mops)
    passed = mops("dev", "smoke-test")
    assert [line.split()[:2] for line in passed.stdout.splitlines()] == [
        [step, "ok"] for step in STEPS
    ]
    # The spec says what the bundle's parameters are.
    found = mops.json("dev", "smoke-test", "--bundle", ".")
    assert found["ok"]
    assert found["steps"][-1]["detail"] == "output: 5 rows, 2 columns"

    found = mops.json("dev", "test-connection")
    assert found["ok"]
    assert found["slots"] == len(found["workers"]) == 1
    address = found["address"]
    assert address.startswith("tls://")
    # The environment's certificates go with a scheduler that is named.
    assert mops.json("dev", "test-connection", "--scheduler", address)["ok"]

    (scheduler,) = processes(mops, "distributed.cli.dask_scheduler")
    scheduler.suspend()
    try:
        assert failed_step(mops, "--timeout", "20")["name"] == "scheduler"
        found = mops.json("dev", "test-connection", "--timeout", "3", expect=1)
        assert [(check["name"], check["ok"]) for check in found["checks"]] == [("scheduler", False)]
    finally:
        scheduler.resume()

    # Nobody starts the workers again while their supervisor is stopped.
    (supervisor,) = processes(mops, "modelops.worker.supervisor")
    supervisor.suspend()
    try:
        workers = processes(mops, "distributed.cli.dask_worker")
        for worker in workers:
            worker.kill()
        step = failed_step(mops, "--timeout", "20")
        assert step["name"] == "workers"
        assert "No worker" in step["reason"]
        assert "mops workspace" in step["hint"]
    finally:
        supervisor.resume()


def test_on_a_registry_for_everyone_it_passes(mops: Mops) -> None:
    bring_up(mops, **{"class": "distribution"})
    assert mops.json("dev", "smoke-test")["ok"]
    bindings = BindingOutputs.from_json(mops.json("registry", "outputs"))
    access = RegistryAccess.from_bindings(bindings)
    assert access == RegistryAccess(access.url)
    assert open_store(access).list_repositories() == ["modelops-smoke-test"]


def test_on_a_registry_with_password_and_tls_it_passes_or_names_it_when_it_is_down(
    mops: Mops,
) -> None:
    bring_up(mops, **{"class": "distribution", "prefix": "team", "auth": "htpasswd", "tls": True})
    assert mops.json("dev", "smoke-test")["ok"]
    bindings = BindingOutputs.from_json(mops.json("registry", "outputs"))
    access = RegistryAccess.from_bindings(bindings)
    assert access.ca_file
    assert access.username
    assert open_store(access).list_repositories() == ["team/modelops-smoke-test"]
    pid = int(mops.json("registry", "status")["resources"]["registry"]["pid"])
    registry = psutil.Process(pid)
    registry.kill()
    registry.wait(30)
    step = failed_step(mops)
    assert step["name"] == "registry"
    assert access.url.removeprefix("oci://") in step["reason"]
    assert "mops registry up" in step["hint"]
    found = mops.json("dev", "test-connection", expect=1)
    assert [check["name"] for check in found["checks"] if not check["ok"]] == ["registry"]
