import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.address import registry_access, remove_bundle_env, write_bundle_env
from modelops.core.errors import BundleError, UsageError

pytestmark = pytest.mark.usefixtures("modelops_home")


def test_the_variable_goes_before_the_file(monkeypatch):
    write_bundle_env("dev", RegistryAccess("oci-layout:///a b"))
    assert registry_access("dev") == RegistryAccess("oci-layout:///a b")
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", "ghcr.io")
    assert registry_access("dev") == RegistryAccess("ghcr.io")


def test_environments_are_apart(modelops_home):
    write_bundle_env("dev", RegistryAccess("oci://a"))
    write_bundle_env("prod", RegistryAccess("oci://b"))
    assert (registry_access("dev").url, registry_access("prod").url) == ("oci://a", "oci://b")
    assert (modelops_home / "bundle-env/dev.yaml").read_text() == "registry: oci://a\n"


def test_none_says_how_to_set_it():
    write_bundle_env("dev", RegistryAccess("oci://a"))
    remove_bundle_env("dev")
    remove_bundle_env("dev")
    with pytest.raises(BundleError) as caught:
        registry_access("dev")
    assert "mops registry up --env dev" in caught.value.hint
    assert "MODELOPS_BUNDLE_REGISTRY=oci://host" in caught.value.hint


FULL = RegistryAccess("127.0.0.1:5000", "modelops", "/s/password", "/s/ca.crt")


def test_the_file_says_where_the_password_is_and_not_what(modelops_home):
    write_bundle_env("dev", FULL)
    assert registry_access("dev") == FULL
    written = (modelops_home / "bundle-env/dev.yaml").read_text()
    assert "password_file: /s/password" in written


def test_what_the_file_lacks_may_be_in_variables(monkeypatch):
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY_PASSWORD_FILE", "/mine")
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY_CA_FILE", "/ca")
    write_bundle_env("dev", RegistryAccess("ghcr.io"))
    assert registry_access("dev") == RegistryAccess("ghcr.io", "me", "/mine", "/ca")
    write_bundle_env("dev", FULL)
    assert registry_access("dev") == FULL


@pytest.mark.parametrize(
    "text", ["[", "registry: a\nusername: 1", "- a", "registry: 1", "other: a", ""]
)
def test_a_file_that_is_something_else_is_named(modelops_home, text):
    write_bundle_env("dev", RegistryAccess("oci://a"))
    (modelops_home / "bundle-env/dev.yaml").write_text(text)
    with pytest.raises(BundleError, match=r"dev\.yaml"):
        registry_access("dev")


@pytest.mark.parametrize("env", ["../dev", "", "DEV"])
def test_an_environment_is_a_label(env):
    access = RegistryAccess("oci://a")
    for call in (registry_access, remove_bundle_env, lambda name: write_bundle_env(name, access)):
        with pytest.raises(UsageError):
            call(env)
