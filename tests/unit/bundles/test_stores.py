"""From references and URLs to stores."""

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.address import access_to, write_bundle_env
from modelops.bundles.packing import pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.stores import access_of, layout_folder, open_store, resolve, store_of
from modelops.contracts import BundleRef, parse_reference
from modelops.core.errors import BundleError, BundleNotThereError

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def pushed(make_bundle, tmp_path):
    """Where a bundle is: the folder of a store with the repositories `sir` and `team/sir`."""
    folder = tmp_path / "My Registry"
    for repository in ("sir", "team/sir"):
        open_store(f"oci-layout:{folder}").push(repository, pack(make_bundle()))
    return folder


@pytest.mark.parametrize("repository", ["sir", "team/sir"])
def test_a_tag_is_resolved_where_it_is(make_bundle, pushed, repository):
    digest = pack(make_bundle()).digest
    own = resolve(parse_reference(f"{repository}:1.0.0"), f"oci-layout://{pushed}")
    assert own == BundleRef(repository, digest)
    located = f"oci-layout:{pushed}/{repository}"
    ref = resolve(parse_reference(f"{located}:1.0.0"), "oci://elsewhere")
    assert ref == parse_reference(f"{located}@{digest}")
    assert resolve(ref, "oci://elsewhere") is ref
    for found in (own, ref):
        store = store_of(found, f"oci-layout://{pushed}")
        assert store.read_manifest(found) == pack(make_bundle()).manifest


def test_a_tag_that_is_not_there_is_said(pushed):
    with pytest.raises(BundleNotThereError, match="There is no sir:2") as caught:
        resolve(parse_reference("sir:2"), f"oci-layout://{pushed}")
    assert caught.value.exit_code == 4


def test_a_store_refuses_what_is_in_another_place(pushed):
    ref = parse_reference(f"oci-layout:/elsewhere/sir@{DIGEST}")
    with pytest.raises(BundleError, match=r"is in /elsewhere, not in"):
        open_store(f"oci-layout://{pushed}").read_manifest(ref)
    with pytest.raises(BundleError, match="isn't in the bundle registry localhost"):
        RegistryStore("localhost").read_manifest(ref)


@pytest.mark.parametrize(
    ("reference", "url", "username"),
    [
        ("sir:1", "oci://ghcr.io/team", "me"),
        ("oci://ghcr.io/team/sir:1", "oci://ghcr.io", "me"),
        (f"oci://ghcr.io/team/sir@{DIGEST}", "oci://ghcr.io", "me"),
        ("oci://other.io/sir:1", "oci://other.io", ""),
    ],
)
def test_only_the_environments_registry_gets_its_user(reference, url, username):
    """And with a host the repository's name is whole: the environment's prefix isn't added."""
    access = RegistryAccess("oci://ghcr.io/team", "me", "/password")
    reached = access_of(parse_reference(reference), access)
    assert (reached.url, reached.username) == (url, username)


@pytest.mark.parametrize(
    ("url", "folder"),
    [("oci-layout:///a b", "/a b"), ("oci-layout:/a", "/a"), ("oci://a/b", None), ("a", None)],
)
def test_urls_of_folders(url, folder):
    found = layout_folder(url)
    assert folder == (None if found is None else str(found))


@pytest.mark.parametrize("url", ["oci-layout://a/b", "oci-layout:a", "oci-layout:////a"])
def test_a_folder_is_an_absolute_path(url):
    with pytest.raises(BundleError, match="no absolute path"):
        layout_folder(url)


def test_a_reference_with_a_place_needs_no_registry_of_the_environment(modelops_home):
    own, placed = parse_reference("sir:1"), parse_reference("oci://ghcr.io/sir:1")
    assert access_to(placed, "dev") == RegistryAccess("")
    with pytest.raises(BundleNotThereError, match="has no bundle registry"):
        access_to(own, "dev")
    write_bundle_env("dev", RegistryAccess("oci://ghcr.io"))
    assert access_to(own, "dev") == access_to(placed, "dev") == RegistryAccess("oci://ghcr.io")
