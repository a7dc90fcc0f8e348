"""Names of stacks, namespaces and cloud resources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.core.errors import UsageError
from modelops.core.naming import StackNaming


def test_stacks_and_projects_are_named_after_component_environment_and_run() -> None:
    naming = StackNaming("dev", "ada")
    assert naming.project("infra") == "modelops-infra"
    assert naming.stack("infra") == "modelops-infra-dev"
    assert naming.stack("adaptive", "sir-0a1b2c3d") == "modelops-adaptive-dev-sir-0a1b2c3d"
    assert naming.stack_reference("infra") == "organization/modelops-infra/modelops-infra-dev"
    assert naming.stack_reference("infra", "acme") == "acme/modelops-infra/modelops-infra-dev"
    assert naming.namespace() == "modelops-dask-dev"
    assert naming.resource_group() == "modelops-dev-rg-ada"


def test_a_registry_is_the_developers_in_dev_and_the_organisations_elsewhere() -> None:
    dev, prod = StackNaming("dev", "Ada.L"), StackNaming("prod", "Ada.L")
    assert dev.container_registry() == "modelopsdevacradal"
    assert prod.container_registry(random="x7k2") == "modelopsprodacrx7k2"
    assert dev.container_registry(per_user=False, random="x7k2") == "modelopsdevacrx7k2"
    assert prod.container_registry(per_user=True) == "modelopsprodacradal"
    assert prod.container_registry(name="ourRegistry") == "ourRegistry"


def test_the_organisations_registry_needs_its_random_part() -> None:
    with pytest.raises(UsageError, match="random"):
        StackNaming("prod", "ada").container_registry()


@pytest.mark.parametrize("name", ["abcd", "a" * 51, "with-dash", "ümlaut"])
def test_a_name_that_azure_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(UsageError, match="5 to 50 letters and digits"):
        StackNaming("dev", "ada").container_registry(name=name)


@pytest.mark.parametrize("env", ["", "Dev", "dev_1", "-dev", "dev-", "a" * 64, "dev\n"])
def test_an_environment_is_a_dns_label(env: str) -> None:
    with pytest.raises(UsageError, match="DNS label"):
        StackNaming(env, "ada")


@given(
    env=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    user=st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,80}", fullmatch=True),
)
def test_a_registrys_name_is_always_one_that_azure_takes(env: str, user: str) -> None:
    name = StackNaming(env, user).container_registry(per_user=True)
    assert name.isalnum()
    assert name.isascii()
    assert 5 <= len(name) <= 50


def test_a_name_that_is_too_long_for_the_engine_is_refused() -> None:
    with pytest.raises(UsageError, match="over 100"):
        StackNaming("e" * 50, "ada").stack("adaptive", "r" * 63)
