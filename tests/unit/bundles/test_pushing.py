import json
import os
import threading
import time

import pytest

from modelops.bundles import push_memory
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import OWN_LAYER_BYTES, pack
from modelops.bundles.push_memory import PushMemory
from modelops.bundles.pushing import BundlePush
from modelops.bundles.tree import BundleFile, identity_of, list_files
from modelops.core.errors import BundleChangedError, BundleFileError
from modelops.core.settings import Home

DAY = 86_400 * 10**9


@pytest.fixture(autouse=True)
def _home(modelops_home):
    pass


@pytest.fixture(autouse=True)
def _later(monkeypatch):
    """Have pushes happen a day after the files were written, so that what's found is kept."""
    now = time.time_ns
    monkeypatch.setattr(push_memory.time, "time_ns", lambda: now() + DAY)


@pytest.fixture
def store(tmp_path):
    return LayoutStore(tmp_path / "registry")


@pytest.fixture
def bundle(make_bundle):
    return make_bundle(
        {f"data/{index:03}.csv": f"{index}\n" * 3000 for index in range(100)}
        | {"data/large.bin": b"x" * (OWN_LAYER_BYTES + 1)}
    )


def memories():
    return list(Home.current().push_memory.glob("*.json"))


def unreadable(root):
    """Put garbage of the same size into every file without a trace of it in the status."""
    for file in list_files(root):
        status = file.path.stat()
        file.path.write_bytes(b"#" * status.st_size)
        os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns))


def ignore_inode_time(monkeypatch):
    """Have the one time that can't be set count for nothing."""
    key = push_memory._key

    def without(what, files):
        return key(what, [file._replace(identity=(*file.identity[:-1], 0)) for file in files])

    monkeypatch.setattr(push_memory, "_key", without)


def test_a_push_is_what_packing_says(bundle, store, tmp_path):
    expected = pack(bundle)
    push = BundlePush(bundle)
    assert push.name == "sir"
    ref = push.to(store, "team/sir")
    assert ref.digest == expected.digest
    assert BundlePush(bundle).packed().digest == expected.digest
    tree = BundleCache(tmp_path / "cache").fetch(ref, store)
    assert pack(tree).digest == expected.digest


def test_what_is_known_is_not_read(bundle, store, monkeypatch):
    ignore_inode_time(monkeypatch)
    ref = BundlePush(bundle).to(store, "sir")
    unreadable(bundle)
    assert BundlePush(bundle).to(store, "sir") == ref
    assert BundlePush(bundle).packed().digest == ref.digest


def test_what_changed_is_read(bundle, store):
    BundlePush(bundle).to(store, "sir")
    for change in (
        lambda: (bundle / "data/050.csv").write_text("0"),
        lambda: (bundle / "data/050.csv").chmod(0o755),
        (bundle / "data/new.csv").touch,
        (bundle / "data/new.csv").unlink,
        lambda: (bundle / "model.py").write_text("def simulate(params, seed):\n    return {}\n"),
        lambda: (bundle / "targets.py").write_text(""),
        (bundle / ".modelops-bundle").mkdir,
        lambda: (bundle / ".modelops-bundle/registry.yaml").write_text("models: {}\n"),
        lambda: (bundle / ".mopsignore").write_text("registry.yaml\n"),
        lambda: (bundle / "data/large.bin").write_bytes(b"y" * (OWN_LAYER_BYTES + 1)),
    ):
        change()
        ref = BundlePush(bundle).to(store, "sir")
        assert ref.digest == pack(bundle).digest == BundlePush(bundle).packed().digest


def test_of_a_file_that_changed_just_now_nothing_is_kept(bundle, store, monkeypatch):
    ignore_inode_time(monkeypatch)
    monkeypatch.setattr(push_memory.time, "time_ns", lambda: 0)
    BundlePush(bundle).to(store, "sir")
    path = bundle / "data/large.bin"
    status = path.stat()
    path.write_bytes(b"y" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ref = BundlePush(bundle).to(store, "sir")
    assert ref.digest == pack(bundle).digest


def test_what_changed_behind_its_back_is_an_error_once(bundle, tmp_path, monkeypatch):
    ignore_inode_time(monkeypatch)
    BundlePush(bundle).to(LayoutStore(tmp_path / "first"), "sir")
    path = bundle / "data/large.bin"
    status = path.stat()
    path.write_bytes(b"y" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    other = LayoutStore(tmp_path / "second")
    with pytest.raises(BundleChangedError, match=r"sir/data/large\.bin was changed"):
        BundlePush(bundle).to(other, "sir")
    assert other.list_bundles("sir") == []
    assert memories() == []
    assert BundlePush(bundle).to(other, "sir").digest == pack(bundle).digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data.replace(b"sha256:", b"sha256:0", 1),
        lambda data: b"\xff" + data,
        lambda data: b"[" * 100_000,
    ],
)
def test_a_damaged_memory_is_none(bundle, store, damage):
    ref = BundlePush(bundle).to(store, "sir")
    (memory,) = memories()
    whole = memory.read_bytes()
    memory.write_bytes(damage(whole))
    assert BundlePush(bundle).to(store, "sir") == ref
    assert memory.read_bytes() == whole


def test_a_memory_that_is_deleted_or_cant_be_written_is_missed_by_nobody(bundle, store):
    ref = BundlePush(bundle).to(store, "sir")
    folder = Home.current().push_memory
    (memory,) = memories()
    memory.unlink()
    folder.rmdir()
    folder.touch()
    assert BundlePush(bundle).to(store, "sir") == ref


def test_a_link_to_the_directory_is_the_same_directory(bundle, store, tmp_path):
    BundlePush(bundle).to(store, "sir")
    (tmp_path / "link").symlink_to(bundle)
    BundlePush(tmp_path / "link").to(store, "sir")
    assert len(memories()) == 1


def test_an_unchanged_push_writes_nothing(bundle, store):
    BundlePush(bundle).to(store, "sir")
    (memory,) = memories()
    before = memory.stat()
    BundlePush(bundle).to(store, "sir")
    after = memory.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_version_of_modelops_knows_nothing(bundle, store, monkeypatch):
    BundlePush(bundle).to(store, "sir")
    monkeypatch.setattr(push_memory, "__version__", "0.0.0")
    files = list_files(bundle)
    assert PushMemory(bundle).config([file for file in files if file.name.endswith(".py")]) is None


def test_long_unused_memories_are_removed(make_bundle, store, monkeypatch):
    monkeypatch.setattr(push_memory, "_MOST_DIRECTORIES", 3)
    for index in range(5):
        root = make_bundle({}, f"bundle-{index}")
        BundlePush(root).to(store, "sir")
        for memory in memories():
            os.utime(memory, ns=(0, memory.stat().st_mtime_ns - DAY))
    assert len(memories()) == 3


def test_threads_that_push_at_once_come_to_the_same(bundle, store):
    refs = []
    threads = [
        threading.Thread(target=lambda: refs.append(BundlePush(bundle).to(store, "sir")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {ref.digest for ref in refs} == {pack(bundle).digest}
    assert len(refs) == 4


def test_the_progress_is_of_what_moves(bundle, store):
    class Seen:
        expected = moved_ = 0

        def expect(self, size):
            self.expected += size

        def moved(self, size):
            self.moved_ += size

    seen = Seen()
    BundlePush(bundle).to(store, "sir", seen)
    assert seen.moved_ >= OWN_LAYER_BYTES + 100 * 512
    again = Seen()
    BundlePush(bundle).to(store, "sir", again)
    assert again.moved_ == again.expected == 0


def test_a_bundle_without_manifest_is_an_error(make_bundle):
    with pytest.raises(BundleFileError, match=r"it has no manifest\.json"):
        BundlePush(make_bundle({"manifest.json": None}))
    root = make_bundle({"manifest.json": json.dumps({"name": "sir"})}, "other")
    with pytest.raises(BundleFileError, match="version is missing"):
        BundlePush(root)


SECOND = 10**9


@pytest.mark.parametrize(
    ("written", "changed", "is_kept"),
    [
        # Nanoseconds before it was listed.
        (3 * SECOND, 3 * SECOND, True),
        (SECOND // 10 + 1, SECOND // 10 + 1, True),
        (SECOND // 10 + 1, SECOND, False),
        (SECOND // 100 + 1, SECOND // 100 + 1, False),
        (SECOND // 100, SECOND // 10 + 1, False),
        (3 * SECOND, 0, False),
    ],
)
def test_what_changed_within_a_tick_of_the_clock_is_not_kept(
    tmp_path, monkeypatch, written, changed, is_kept
):
    now = 1_700_000_000 * SECOND
    monkeypatch.setattr(push_memory.time, "time_ns", lambda: now)
    file = BundleFile("a", "/a", 1, 0o644, (1, 2, 1, 0o100644, now - written, now - changed))
    memory = PushMemory(tmp_path)
    memory.learn_config([file], b"config")
    memory.save()
    assert PushMemory(tmp_path).config([file]) == (b"config" if is_kept else None)


def test_what_a_file_is_known_by_says_what_became_of_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    (before,) = list_files(tmp_path)
    assert before.identity == identity_of(path.stat())
    for change in (lambda: path.chmod(0o755), lambda: path.write_bytes(b"more")):
        change()
        (after,) = list_files(tmp_path)
        assert after.identity != before.identity
        before = after
