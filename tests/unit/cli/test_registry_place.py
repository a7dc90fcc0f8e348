"""Where an environment's registry is, for commands without a spec."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from modelops.bundles.access import RegistryAccess
from modelops.cli import registry_place
from modelops.cli.registry_place import note, noted_provider, registry_for, registry_of
from modelops.contracts import BindingOutputs, SecretRef, parse_reference
from modelops.core.errors import BundleError, BundleNotThereError
from modelops.core.settings import Home
from modelops.providers.base import Component, ProviderPlan, ResourcePlan, StackPlan
from modelops.providers.local.provider import LocalProvider

PLAN = ProviderPlan(
    "far",
    "dev",
    (StackPlan(Component.REGISTRY, (ResourcePlan("far:R", "registry", {"at": "moon"}),)),),
)
FAR = BindingOutputs(
    env={"MODELOPS_BUNDLE_REGISTRY": "registry.moon:5000", "OTHER": "x"},
    secrets={"MODELOPS_BUNDLE_REGISTRY_PASSWORD": SecretRef("k8s", "login", "password")},
)


class FarProvider(LocalProvider):
    """One whose registry has to be reached; it notes what is open."""

    name = "far"
    open = 0

    @contextmanager
    def reach(self, plan: ProviderPlan, bindings: BindingOutputs) -> Iterator[BindingOutputs]:
        assert plan == PLAN
        assert bindings.secrets == FAR.secrets
        FarProvider.open += 1
        yield BindingOutputs(
            env={**bindings.env, "MODELOPS_BUNDLE_REGISTRY": "127.0.0.1:1234"},
            secrets={"MODELOPS_BUNDLE_REGISTRY_PASSWORD": SecretRef("file", "/here")},
        )
        FarProvider.open -= 1


@pytest.fixture(autouse=True)
def far(modelops_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider `far`, and no registry in the environment's variables."""
    for name in [name for name in os.environ if name.startswith("MODELOPS_BUNDLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(registry_place, "find_provider", lambda _name: FarProvider())


def test_a_registry_that_has_to_be_reached_is_open_for_a_block() -> None:
    note(PLAN, FAR)

    with registry_of("dev") as access:
        assert access == RegistryAccess("127.0.0.1:1234", password_file="/here")
        assert FarProvider.open == 1

    assert FarProvider.open == 0
    file = Home.current().bundle_env_file("dev")
    assert yaml.safe_load(file.read_text())["registry"] == "registry.moon:5000"
    assert "OTHER" not in file.read_text()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    noted = noted_provider("dev")
    assert noted is not None
    assert noted[1] == PLAN


def test_one_that_is_reachable_is_noted_as_it_is() -> None:
    secrets = {"MODELOPS_BUNDLE_REGISTRY_PASSWORD": SecretRef("file", "/p")}
    note(PLAN, BindingOutputs({"MODELOPS_BUNDLE_REGISTRY": "ghcr.io"}, secrets))

    with registry_of("dev") as access:
        assert access == RegistryAccess("ghcr.io", password_file="/p")
    assert noted_provider("dev") is None


def test_the_variable_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    note(PLAN, FAR)
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", "ghcr.io")

    with registry_of("dev") as access:
        assert access.url == "ghcr.io"


def test_a_reference_with_a_host_needs_no_registry_of_the_environment() -> None:
    note(PLAN, FAR)
    elsewhere = parse_reference("oci://ghcr.io/sir@sha256:" + "0" * 64)

    with registry_for(elsewhere, "dev"):
        assert FarProvider.open == 0
    with registry_for(parse_reference("sir:1"), "dev") as access:
        assert access.url == "127.0.0.1:1234"


def test_what_is_noted_and_broken_is_told() -> None:
    assert noted_provider("dev") is None
    with pytest.raises(BundleNotThereError, match="no bundle registry"), registry_of("dev"):
        pass
    note(PLAN, FAR)
    file = Home.current().bundle_env_file("dev")
    file.write_text(yaml.safe_dump({"registry": "x", "reached_by": {"provider": "far"}}))

    with pytest.raises(BundleError, match="mops registry up --env dev"), registry_of("dev"):
        pass
