import pytest

from modelops.bundles.address import registry_url, remove_bundle_env, write_bundle_env
from modelops.core.errors import BundleError, UsageError

pytestmark = pytest.mark.usefixtures("modelops_home")


def test_the_variable_goes_before_the_file(monkeypatch):
    write_bundle_env("dev", "oci-layout:///a b")
    assert registry_url("dev") == "oci-layout:///a b"
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", "ghcr.io")
    assert registry_url("dev") == "ghcr.io"


def test_environments_are_apart(modelops_home):
    write_bundle_env("dev", "oci://a")
    write_bundle_env("prod", "oci://b")
    assert (registry_url("dev"), registry_url("prod")) == ("oci://a", "oci://b")
    assert (modelops_home / "bundle-env/dev.yaml").read_text() == "registry: oci://a\n"


def test_none_says_how_to_set_it():
    write_bundle_env("dev", "oci://a")
    remove_bundle_env("dev")
    remove_bundle_env("dev")
    with pytest.raises(BundleError) as caught:
        registry_url("dev")
    assert "mops registry up --env dev" in caught.value.hint
    assert "MODELOPS_BUNDLE_REGISTRY=oci://host" in caught.value.hint


@pytest.mark.parametrize("text", ["[", "- a", "registry: 1", "other: a", ""])
def test_a_file_that_is_something_else_is_named(modelops_home, text):
    write_bundle_env("dev", "oci://a")
    (modelops_home / "bundle-env/dev.yaml").write_text(text)
    with pytest.raises(BundleError, match=r"dev\.yaml"):
        registry_url("dev")


@pytest.mark.parametrize("env", ["../dev", "", "DEV"])
def test_an_environment_is_a_label(env):
    for call in (registry_url, remove_bundle_env, lambda name: write_bundle_env(name, "oci://a")):
        with pytest.raises(UsageError):
            call(env)
