import errno
import os
import shutil
import stat

import pytest

from modelops.bundles import packing, pulling
from modelops.bundles.artifact import (
    ARTIFACT_TYPE,
    CONFIG_MEDIA_TYPE,
    FILE_MEDIA_TYPE,
    Descriptor,
    ImageManifest,
    digest_of,
)
from modelops.bundles.cache import BundleCache
from modelops.bundles.entry import hold
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


def numbered(make_bundle, store, number, size=1000):
    """Push a bundle of a little more than `size` bytes."""
    root = make_bundle({"number": str(number) * size}, f"bundle-{number}")
    return store.push("sir", pack(root))


def entries(tmp_path):
    return {path.name[7:] for path in (tmp_path / "cache").iterdir() if path.name[0] != "."}


def test_what_was_not_opened_for_longest_makes_room(make_bundle, store, tmp_path):
    cache = BundleCache(tmp_path / "cache", max_bytes=3000)
    refs = [numbered(make_bundle, store, number) for number in range(3)]
    for ref in (*refs[:2], refs[0], refs[2]):
        cache.open(ref, store).close()
    assert entries(tmp_path) == {refs[0].digest[7:], refs[2].digest[7:]}
    assert store.manifests == 3
    cache.open(refs[1], store).close()
    assert store.manifests == 4


def test_what_is_open_stays(make_bundle, store, tmp_path):
    cache = BundleCache(tmp_path / "cache", max_bytes=0)
    refs = [numbered(make_bundle, store, number) for number in range(3)]
    with cache.open(refs[0], store) as bundle:
        kept = hold(bundle.folder)
    assert kept is not None
    with kept:
        with cache.open(refs[1], store) as other:
            assert (bundle.folder / "model.py").exists()
            assert (other.folder / "model.py").exists()
        cache.open(refs[2], store).close()
        assert entries(tmp_path) == {refs[0].digest[7:], refs[2].digest[7:]}
    numbered_again = cache.fetch(refs[1], store)
    assert entries(tmp_path) == {refs[1].digest[7:]}
    cache.open(refs[0], store).close()
    assert (numbered_again / "model.py").exists()


def test_an_altered_bundle_that_is_used_is_kept_until_nobody_uses_it(make_bundle, store, tmp_path):
    cache = BundleCache(tmp_path / "cache")
    ref = numbered(make_bundle, store, 0)
    with cache.open(ref, store) as bundle:
        change(bundle.folder)
        descriptor = os.open(bundle.folder, os.O_RDONLY)
        with cache.open(ref, store) as anew:
            assert "def simulate" in (anew.folder / "model.py").read_text()
        altered = os.open("model.py", os.O_RDONLY, dir_fd=descriptor)
        assert os.read(altered, 100) == b"# changed"
        os.close(altered)
        os.close(descriptor)
    assert list((tmp_path / "cache").glob(".*.d"))
    cache.open(numbered(make_bundle, store, 1), store).close()
    assert not list((tmp_path / "cache").glob(".*.d"))


def test_the_size_is_that_of_the_variable(make_bundle, store, tmp_path, monkeypatch):
    refs = [numbered(make_bundle, store, number) for number in range(2)]
    monkeypatch.setenv("MODELOPS_BUNDLE_CACHE_BYTES", "1000")
    for ref in refs:
        BundleCache(tmp_path / "cache").open(ref, store).close()
    assert len(entries(tmp_path)) == 1
    monkeypatch.setenv("MODELOPS_BUNDLE_CACHE_BYTES", "")
    for ref in refs:
        BundleCache(tmp_path / "cache").open(ref, store).close()
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize("text", ["20 GiB", "-1", "1e9", "٣"])
def test_another_size_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setenv("MODELOPS_BUNDLE_CACHE_BYTES", text)
    with pytest.raises(BundleError, match="not a number of bytes"):
        BundleCache(tmp_path)


def test_entries_whose_size_was_not_written_down_are_measured(make_bundle, store, tmp_path):
    refs = [numbered(make_bundle, store, number) for number in range(2)]
    with BundleCache(tmp_path / "cache").open(refs[0], store) as bundle:
        spoil_the_entry(bundle.folder)
    BundleCache(tmp_path / "cache", max_bytes=2000).open(refs[1], store).close()
    assert entries(tmp_path) == {refs[1].digest[7:]}


class Interfering:
    """A store that does something when a bundle is fetched."""

    def __init__(self, store, interfere):
        self._store = store
        self._interfere = interfere

    def read_manifest(self, ref):
        self._interfere()
        return self._store.read_manifest(ref)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_a_bundle_that_vanishes_is_fetched_again(make_bundle, store, cache, tmp_path):
    ref = store.push("sir", pack(make_bundle()))
    cache.open(ref, store).close()
    (entry,) = (tmp_path / "cache").glob("sha256-*")
    for part in ("tree", "entry.json", "."):
        found = entry / part
        shutil.rmtree(found) if found.is_dir() else found.unlink()
        with cache.open(ref, store) as bundle:
            assert contents(bundle.folder) == contents(tmp_path / "sir")


def test_what_others_left_is_removed_but_not_what_they_make(make_bundle, store, tmp_path):
    cache = BundleCache(tmp_path / "cache")
    refs = [numbered(make_bundle, store, number) for number in range(3)]
    left = tmp_path / "cache" / f".{refs[0].digest.replace(':', '-')}.abc.d"
    left.mkdir(parents=True)
    during = []

    def fetch_another():
        cache.open(refs[2], store).close()
        during.extend((tmp_path / "cache").glob(f".{refs[1].digest.replace(':', '-')}.*.d"))

    cache.open(refs[1], Interfering(store, fetch_another)).close()
    assert len(during) == 1
    assert not left.exists()
    assert not list((tmp_path / "cache").glob(".*.d"))


class Failing:
    """A store whose layers come, but for one."""

    def __init__(self, store, error):
        self._store = store
        self._error = error
        self.is_broken = True

    def fetch_blob(self, ref, descriptor, target, progress=None):
        if self.is_broken:
            self._store.fetch_blob(ref, descriptor, target, progress)
            raise self._error
        self._store.fetch_blob(ref, descriptor, target, progress)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_a_full_disk_is_said_and_leaves_the_cache_sound(make_bundle, store, cache, tmp_path):
    other = numbered(make_bundle, store, 0)
    kept = cache.fetch(other, store)
    ref = store.push("sir", pack(make_bundle({"big": bytes(LARGE)})))
    full = Failing(store, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(BundleError, match=r"the disk of .*cache is full") as caught:
        cache.fetch(ref, full)
    assert "MODELOPS_BUNDLE_CACHE_BYTES" in caught.value.hint
    assert entries(tmp_path) == {other.digest[7:]}
    assert not list((tmp_path / "cache").glob(".*.d"))
    assert (kept / "model.py").exists()
    full.is_broken = False
    assert (cache.fetch(ref, full) / "big").stat().st_size == LARGE


def test_a_full_disk_is_emptied_of_what_nobody_uses(make_bundle, store, cache, tmp_path):
    cache.open(numbered(make_bundle, store, 0), store).close()
    ref = store.push("sir", pack(make_bundle({"big": bytes(LARGE)})))
    full = Failing(store, OSError(errno.ENOSPC, "No space left on device"))
    full._store = Interfering(store, lambda: setattr(full, "is_broken", len(entries(tmp_path)) > 0))
    assert (cache.fetch(ref, full) / "big").exists()
    assert entries(tmp_path) == {ref.digest[7:]}


def test_progress_is_told_of_every_byte(make_bundle, store, cache):
    packed = pack(make_bundle({"big": bytes(3 * 2**20)}))
    ref = store.push("sir", packed)
    counts = []
    cache.fetch(ref, store, counts.append)
    layers = packed.blobs[1:]
    assert sum(counts) == sum(blob.descriptor.size for blob in layers)


def test_the_first_of_several_failures_is_told(make_bundle, store, cache, tmp_path):
    root = make_bundle({f"big-{i}": bytes([i]) * (3 * 2**20) for i in range(6)})
    packed = pack(root)
    ref = store.push("sir", packed)
    layer = packed.blobs[-1].descriptor
    (tmp_path / "registry/sir/blobs/sha256" / layer.digest[7:]).write_bytes(b"short")
    with pytest.raises(BundleError, match="cut short"):
        cache.fetch(ref, store)


def test_an_archive_too_large_for_the_memory_is_unpacked(make_bundle, store, cache, monkeypatch):
    monkeypatch.setattr(pulling, "IN_MEMORY_BYTES", 100)
    root = make_bundle()
    assert contents(cache.fetch(store.push("sir", pack(root)), store)) == contents(root)


def test_a_cache_that_cannot_be_written_is_an_error(make_bundle, store, tmp_path):
    (tmp_path / "file").touch()
    ref = store.push("sir", pack(make_bundle()))
    with pytest.raises(BundleError, match="can't be unpacked"):
        BundleCache(tmp_path / "file" / "cache").fetch(ref, store)
