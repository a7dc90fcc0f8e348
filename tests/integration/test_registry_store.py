"""Bundles in a real OCI registry."""

import json
from pathlib import Path

import oras.client
import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles.artifact import ImageManifest
from modelops.bundles.cache import BundleCache
from modelops.bundles.packing import OWN_LAYER_BYTES, pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.stores import open_store
from modelops.bundles.template import create_bundle
from modelops.contracts import BundleRef
from modelops.core.errors import BundleChangedError, BundleError

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture"]


@pytest.fixture(autouse=True)
def _no_settings_of_the_users(modelops_home):
    pass


@pytest.fixture
def store(oci_registry: RegistryProcess):
    return open_store(f"oci://{oci_registry.host}/team")


@pytest.fixture
def bundle(tmp_path):
    create_bundle(tmp_path / "sir", "sir")
    (tmp_path / "sir/data/large.bin").write_bytes(b"0123456789abcdef" * (OWN_LAYER_BYTES // 8))
    return tmp_path / "sir"


def contents(root: Path):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_bundle_goes_there_and_back(store, bundle, tmp_path):
    packed = pack(bundle)
    ref = store.push("sir", packed)
    assert ref == BundleRef("sir", packed.digest)
    assert store.push("sir", packed) == ref
    tree = BundleCache(tmp_path / "cache").fetch(ref, store)
    assert contents(tree) == contents(bundle)
    assert pack(tree).digest == packed.digest


def test_other_clients_unpack_it(oci_registry, store, bundle, tmp_path):
    ref = store.push("sir", pack(bundle))
    client = oras.client.OrasClient(insecure=True)
    client.pull(f"{oci_registry.host}/team/sir@{ref.digest}", outdir=str(tmp_path / "out"))
    assert contents(tmp_path / "out/sir") == contents(bundle)


def test_tags_and_lists(store, bundle):
    assert store.list_repositories() == []
    assert store.list_bundles("sir") == []
    first = store.push("sir", pack(bundle))
    (bundle / "model.py").write_text("def simulate(params, seed): return {}\n")
    second = store.push("sir", pack(bundle))
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "version": "2.0+local"}))
    third = store.push("sir", pack(bundle))
    store.push("other", pack(bundle))
    assert store.list_repositories() == ["other", "sir"]
    found = [(bundle.tag, bundle.ref) for bundle in store.list_bundles("sir")]
    assert found == [("0.1.0", second), ("2.0_local", third)]
    assert store.resolve("sir", "0.1.0") == second
    assert ImageManifest.parse(store.read_manifest(first))
    with pytest.raises(BundleError) as caught:
        store.resolve("sir", "0.1.1")
    assert caught.value.hint == "Did you mean `0.1.0`?"


def test_a_reference_with_the_host_is_the_same_bundle(oci_registry, store, bundle, tmp_path):
    ref = store.push("sir", pack(bundle))
    whole = BundleRef.parse(f"oci://{oci_registry.host}/team/sir@{ref.digest}")
    other = RegistryStore(oci_registry.host)
    for reader in (store, other):
        assert reader.read_manifest(whole) == store.read_manifest(ref)


def test_what_is_not_there_is_said(store, tmp_path):
    ref = BundleRef("none", f"sha256:{'0' * 64}")
    with pytest.raises(BundleError, match="There is no none@sha256"):
        store.read_manifest(ref)
    with pytest.raises(BundleError, match="There is no none@sha256"):
        BundleCache(tmp_path / "cache").fetch(ref, store)


def test_a_blob_that_the_registry_lost_its_bytes_of_is_refused(
    oci_registry, store, bundle, tmp_path
):
    packed = pack(bundle)
    ref = store.push("sir", packed)
    layer = packed.blobs[-1].descriptor
    hexadecimal = layer.digest.removeprefix("sha256:")
    (blob,) = (oci_registry.data / "docker").rglob(f"blobs/sha256/*/{hexadecimal}/data")
    data = bytearray(blob.read_bytes())
    data[layer.size // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(BundleError, match="it was altered"):
        BundleCache(tmp_path / "cache").fetch(ref, store)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_file_that_changes_while_it_is_pushed_is_refused(store, bundle):
    packed = pack(bundle)
    path = bundle / "data/large.bin"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(BundleChangedError, match=r"sir/data/large\.bin was changed"):
        store.push("sir", packed)
    with pytest.raises(BundleError, match="There is no"):
        store.read_manifest(BundleRef("sir", packed.digest))
