import os
import stat
import subprocess
import sys

import pytest

from modelops.bundles import packing
from modelops.bundles.artifact import (
    ARTIFACT_TYPE,
    CONFIG_MEDIA_TYPE,
    FILE_MEDIA_TYPE,
    Descriptor,
    ImageManifest,
    digest_of,
)
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import PackedBlob, PackedBundle, pack
from modelops.bundles.tree import list_files
from modelops.bundles.unpack import UnpackLimits
from modelops.core.errors import BundleError

LARGE = 5000
"""A file of this size is a layer of its own here."""


@pytest.fixture(autouse=True)
def _small_layers(monkeypatch):
    monkeypatch.setattr(packing, "OWN_LAYER_BYTES", LARGE - 1)


class CountingStore:
    """A store that counts how often it's read."""

    def __init__(self, store):
        self._store = store
        self.manifests = 0

    def read_manifest(self, ref):
        self.manifests += 1
        return self._store.read_manifest(ref)

    def __getattr__(self, name):
        return getattr(self._store, name)


@pytest.fixture
def store(tmp_path):
    return CountingStore(LayoutStore(tmp_path / "registry"))


@pytest.fixture
def cache(tmp_path):
    return BundleCache(tmp_path / "cache")


def contents(root):
    return {file.name: (file.path.read_bytes(), file.mode) for file in list_files(root)}


def test_what_was_packed_is_unpacked(make_bundle, store, cache):
    root = make_bundle({"run.sh": "", "data/größe.bin": b"1" * LARGE, "bin/big": b"2" * LARGE})
    for name in ("run.sh", "bin/big"):
        (root / name).chmod(0o755)
    packed = pack(root)
    tree = cache.fetch(store.push("sir", packed), store)
    assert tree.name == "sir"
    assert contents(tree) == contents(root)
    assert pack(tree).digest == packed.digest


def test_it_is_fetched_once(make_bundle, store, cache, tmp_path):
    ref = store.push("sir", pack(make_bundle()))
    first = cache.fetch(ref, store)
    (first / "__pycache__").mkdir()
    (first / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"bytecode")
    assert cache.fetch(ref, store) == first
    assert BundleCache(tmp_path / "cache").fetch(ref, store) == first
    assert store.manifests == 1
    assert (first / "__pycache__").exists()


def change(tree):
    (tree / "model.py").write_text("# changed")


def change_keeping_the_size(tree):
    text = (tree / "model.py").read_text()
    (tree / "model.py").write_text(text.replace("params", "PARAMS"))
    os.utime(tree / "model.py", ns=(0, (tree / "targets.py").stat().st_mtime_ns + 5))


def add(tree):
    (tree / "json.py").touch()


def add_directory(tree):
    (tree / "data" / "more").mkdir()


def remove(tree):
    (tree / "model.py").unlink()


def set_mode(tree):
    (tree / "model.py").chmod(0o777)


def link(tree):
    (tree / "model.py").unlink()
    (tree / "model.py").symlink_to("targets.py")


def spoil_the_entry(tree):
    (tree.parent.parent / "entry.json").write_text("[]")


@pytest.mark.parametrize(
    "alter",
    [
        change,
        change_keeping_the_size,
        add,
        add_directory,
        remove,
        set_mode,
        link,
        spoil_the_entry,
    ],
)
def test_what_was_altered_is_unpacked_anew(make_bundle, store, cache, tmp_path, alter):
    root = make_bundle()
    ref = store.push("sir", pack(root))
    tree = cache.fetch(ref, store)
    alter(tree)
    assert cache.fetch(ref, store) == tree
    assert contents(tree) == contents(root)
    assert store.manifests == 2
    assert not list((tmp_path / "cache").glob("*.d"))


def test_a_blob_that_was_altered_leaves_no_entry(make_bundle, store, cache, tmp_path):
    packed = pack(make_bundle())
    ref = store.push("sir", packed)
    layer = packed.blobs[1].descriptor
    path = tmp_path / "registry/sir/blobs/sha256" / layer.digest[7:]
    path.write_bytes(bytes(layer.size))
    with pytest.raises(BundleError, match="altered"):
        cache.fetch(ref, store)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_removed(make_bundle, store, cache, tmp_path):
    ref = store.push("sir", pack(make_bundle()))
    left = tmp_path / "cache" / f".{ref.digest.replace(':', '-')}.abc.d"
    (left / "made").mkdir(parents=True)
    cache.fetch(ref, store)
    assert not left.exists()


def test_limits_hold(make_bundle, store, tmp_path):
    ref = store.push("sir", pack(make_bundle({"big": bytes(LARGE)})))
    cache = BundleCache(tmp_path / "cache", UnpackLimits(total_bytes=LARGE))
    with pytest.raises(BundleError, match="larger than"):
        cache.fetch(ref, store)


def forged(layers, artifact_type=ARTIFACT_TYPE):
    """A bundle whose layers are anything."""
    blobs = [
        PackedBlob(
            Descriptor(
                media_type=media_type, digest=digest_of(data), size=len(data), annotations=notes
            ),
            lambda data=data: iter((data,)),
        )
        for media_type, data, notes in [(CONFIG_MEDIA_TYPE, b"{}", {}), *layers]
    ]
    manifest = ImageManifest(
        artifact_type=artifact_type,
        config=blobs[0].descriptor,
        layers=[blob.descriptor for blob in blobs[1:]],
    )
    return PackedBundle("sir", "1", manifest.encode(), tuple(blobs))


TITLE = "org.opencontainers.image.title"


@pytest.mark.parametrize(
    "title", ["../../x", "/etc/x", "", "sir/../x", "a/\0", "sir\\x", "top-level", "sir/"]
)
def test_a_layer_that_is_a_file_stays_inside(store, cache, tmp_path, title):
    packed = forged([(FILE_MEDIA_TYPE, b"x", {TITLE: title})])
    with pytest.raises(BundleError):
        cache.fetch(store.push("sir", packed), store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "registry"]


@pytest.mark.parametrize("mode", ["rwx", "4755", "0777"])
def test_a_mode_is_taken_from_the_owner_alone(store, cache, mode):
    notes = {TITLE: "sir/x", "io.modelops.bundle.mode": mode}
    ref = store.push("sir", forged([(FILE_MEDIA_TYPE, b"x", notes)]))
    if mode == "rwx":
        with pytest.raises(BundleError, match="mode"):
            cache.fetch(ref, store)
    else:
        assert stat.S_IMODE((cache.fetch(ref, store) / "x").stat().st_mode) == 0o755


def test_unknown_layers_and_artifacts_are_refused(store, cache):
    ref = store.push("sir", forged([("application/x-other", b"x", {TITLE: "sir/x"})]))
    with pytest.raises(BundleError, match="application/x-other"):
        cache.fetch(ref, store)
    ref = store.push("sir", forged([], "application/vnd.other"))
    with pytest.raises(BundleError, match=r"of the type application/vnd\.other, not a bundle"):
        cache.fetch(ref, store)


def test_processes_that_fetch_at_once_get_the_same(make_bundle, store, tmp_path):
    ref = store.push("sir", pack(make_bundle({"big": bytes(LARGE)})))
    code = (
        "import sys; from pathlib import Path\n"
        "from modelops.bundles.cache import BundleCache\n"
        "from modelops.bundles.layout_store import LayoutStore\n"
        "from modelops.contracts import BundleRef\n"
        "store = LayoutStore(Path(sys.argv[1]))\n"
        "print(BundleCache(Path(sys.argv[2])).fetch(BundleRef.parse(sys.argv[3]), store))\n"
    )
    command = [
        sys.executable,
        "-c",
        code,
        str(tmp_path / "registry"),
        str(tmp_path / "c"),
        str(ref),
    ]
    fetching = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate()[0] for process in fetching}
    assert len(answers) == 1
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700


def test_a_cache_that_cannot_be_written_is_an_error(make_bundle, store, tmp_path):
    (tmp_path / "file").touch()
    ref = store.push("sir", pack(make_bundle()))
    with pytest.raises(BundleError, match="can't be unpacked"):
        BundleCache(tmp_path / "file" / "cache").fetch(ref, store)
