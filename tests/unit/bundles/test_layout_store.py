import json
import os
import subprocess
import sys

import pytest

from modelops.bundles.artifact import ImageManifest
from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef, ContractError
from modelops.core.errors import BundleChangedError, BundleError


@pytest.fixture
def store(tmp_path):
    return LayoutStore(tmp_path / "registry")


def everything(root):
    return {p.relative_to(root): p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def manifest_of(version):
    return json.dumps({"name": "sir", "version": version, "entrypoint": "model:simulate"})


def test_what_was_pushed_is_read_by_digest(store, make_bundle, tmp_path):
    packed = pack(make_bundle())
    ref = store.push("team/sir", packed)
    assert ref == BundleRef("team/sir", packed.digest)
    (tmp_path / "registry/team/sir/index.json").unlink()
    data = store.read_manifest(ref)
    assert data == packed.manifest
    for blob in packed.blobs:
        store.fetch_blob(ref, blob.descriptor, tmp_path / "blob")
        assert (tmp_path / "blob").read_bytes() == b"".join(blob.chunks())


def test_it_is_a_layout_of_the_specification(store, make_bundle, tmp_path):
    packed = pack(make_bundle())
    store.push("sir", packed)
    layout = tmp_path / "registry/sir"
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_bytes())
    assert index == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactType": "application/vnd.modelops.bundle.v1",
                "digest": packed.digest,
                "size": len(packed.manifest),
                "annotations": {"org.opencontainers.image.ref.name": "1.0.0"},
            }
        ],
    }
    blobs = {path.name for path in (layout / "blobs/sha256").iterdir()}
    named = [packed.digest, *(blob.descriptor.digest for blob in packed.blobs)]
    assert blobs == {digest.removeprefix("sha256:") for digest in named}


def test_pushing_again_changes_nothing(store, make_bundle, tmp_path):
    first = pack(make_bundle({}, "a"))
    store.push("sir", first)
    store.push("sir", pack(make_bundle({"manifest.json": manifest_of("2.0.0")}, "b")))
    before = everything(tmp_path / "registry")
    assert store.push("sir", first) == BundleRef("sir", first.digest)
    assert everything(tmp_path / "registry") == before


def test_a_version_names_what_was_pushed_last(store, make_bundle):
    old = store.push("sir", pack(make_bundle({}, "a")))
    new = store.push("sir", pack(make_bundle({"model.py": "simulate = 1"}, "b")))
    other = store.push("sir", pack(make_bundle({"manifest.json": manifest_of("2+x")}, "c")))
    assert store.resolve("sir", "1.0.0") == new
    found = [(bundle.tag, bundle.ref) for bundle in store.list_bundles("sir")]
    assert found == [("1.0.0", new), ("2_x", other), (None, old)]
    assert ImageManifest.parse(store.read_manifest(old))


def test_lists_repositories(store, make_bundle):
    assert store.list_repositories() == []
    assert store.list_bundles("none") == []
    packed = pack(make_bundle())
    for name in ("team/sir", "team", "a.b"):
        store.push(name, packed)
    assert store.list_repositories() == ["a.b", "team", "team/sir"]


def test_an_unknown_tag_gets_a_near_miss(store, make_bundle):
    store.push("sir", pack(make_bundle()))
    with pytest.raises(BundleError) as caught:
        store.resolve("sir", "1.0.1")
    assert caught.value.hint == "Did you mean `1.0.0`?"


def test_what_is_not_there_is_an_error(store, make_bundle):
    ref = BundleRef("sir", f"sha256:{'0' * 64}")
    with pytest.raises(BundleError, match="There is no bundle"):
        store.read_manifest(ref)


def test_a_reference_to_another_host_is_refused(store, make_bundle):
    ref = store.push("sir", pack(make_bundle()))
    with pytest.raises(BundleError, match=r"in the registry ghcr\.io"):
        store.read_manifest(BundleRef("sir", ref.digest, "ghcr.io"))


def damage_same_size(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_shorter(path):
    os.truncate(path, path.stat().st_size - 1)


def damage_longer(path):
    with path.open("ab") as file:
        file.write(b"x")


@pytest.mark.parametrize("damage", [damage_same_size, damage_shorter, damage_longer])
def test_what_was_altered_is_refused(store, make_bundle, tmp_path, damage):
    packed = pack(make_bundle())
    ref = store.push("sir", packed)
    for path in (tmp_path / "registry/sir/blobs/sha256").iterdir():
        damage(path)
    with pytest.raises(BundleError, match="it was altered") as caught:
        store.read_manifest(ref)
    assert "push the bundle again" in caught.value.hint
    for blob in packed.blobs:
        with pytest.raises(BundleError, match=r"altered|cut short|larger"):
            store.fetch_blob(ref, blob.descriptor, tmp_path / "blob")


def test_a_bundle_that_changes_while_it_is_pushed_is_not_stored(store, make_bundle, tmp_path):
    root = make_bundle()
    packed = pack(root)
    (root / "model.py").write_text("#" * (root / "model.py").stat().st_size)
    with pytest.raises(BundleChangedError, match="sir was changed while"):
        store.push("sir", packed)
    stored = {path.name for path in (tmp_path / "registry").rglob("*") if path.is_file()}
    assert stored <= {packed.blobs[0].descriptor.digest[7:]}


@pytest.mark.parametrize("name", ["sir/blobs", "index.json/sir", "oci-layout"])
def test_names_of_the_layout_are_no_repositories(store, make_bundle, name):
    with pytest.raises(BundleError, match="OCI image layout"):
        store.push(name, pack(make_bundle()))


@pytest.mark.parametrize("name", ["../sir", "/sir", "SIR", ""])
def test_a_repository_stays_inside(store, make_bundle, name):
    with pytest.raises(ContractError):
        store.push(name, pack(make_bundle()))


def test_a_broken_index_is_named(store, make_bundle, tmp_path):
    store.push("sir", pack(make_bundle()))
    (tmp_path / "registry/sir/index.json").write_text('{"manifests": [{}]}')
    with pytest.raises(BundleError, match=r"index\.json isn't the index"):
        store.list_bundles("sir")


@pytest.mark.integration
def test_processes_that_push_at_once_lose_nothing(store, make_bundle, tmp_path):
    roots = [
        make_bundle({"manifest.json": manifest_of(f"{index}.0")}, str(index)) for index in range(4)
    ]
    code = (
        "import sys; from pathlib import Path\n"
        "from modelops.bundles.layout_store import LayoutStore\n"
        "from modelops.bundles.packing import pack\n"
        "for _ in range(5): LayoutStore(Path(sys.argv[1])).push('sir', pack(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "registry")]
    pushing = [subprocess.Popen([*command, str(root)]) for root in roots]
    assert [process.wait() for process in pushing] == [0] * 4
    tags = [bundle.tag for bundle in store.list_bundles("sir")]
    assert tags == ["0.0", "1.0", "2.0", "3.0"]


def test_urls_open_layouts(tmp_path, make_bundle):
    opened = open_store(f"oci-layout://{tmp_path}/a b%20c")
    assert isinstance(opened, BundleStore)
    opened.push("sir", pack(make_bundle()))
    assert (tmp_path / "a b%20c" / "sir" / "index.json").exists()


@pytest.mark.parametrize(
    "url",
    ["oci-layout://relative", "https://ghcr.io", "file:///tmp", "oci://https://ghcr.io", "", "a b"],
)
def test_other_urls_are_refused(url):
    with pytest.raises(BundleError) as caught:
        open_store(url)
    assert "Write oci" in caught.value.hint
