"""The cache of bundles when processes are killed, disks are full and registries die."""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.template import create_bundle
from modelops.core.errors import BundleError

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture"]

LARGE_PIECES = 2**20
"""16 MiB in pieces of 16 bytes: a layer of its own, and more than the small disk below holds."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace need root")

# Each bundle drives the other out, so that entries are made and removed all the time.
FETCH_FOR_EVER = """\
import sys
from pathlib import Path
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.contracts import BundleRef
store, cache = LayoutStore(Path(sys.argv[1])), BundleCache(Path(sys.argv[2]), max_bytes=0)
while True:
    for text in sys.argv[3:]:
        cache.open(BundleRef.parse(text), store).close()
        print(flush=True)
"""
FETCH = """\
import sys
from pathlib import Path
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.contracts import BundleRef
store = LayoutStore(Path(sys.argv[1]))
print(BundleCache(Path(sys.argv[2])).fetch(BundleRef.parse(sys.argv[3]), store))
"""
FETCH_ONTO_A_FULL_DISK = """\
import sys
from pathlib import Path
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError
small, large = map(BundleRef.parse, sys.argv[3:])
store, cache = LayoutStore(Path(sys.argv[1])), BundleCache(Path(sys.argv[2]))
kept = cache.fetch(small, store)
try:
    cache.fetch(large, store)
except BundleError as error:
    print(error)
assert (kept / "model.py").stat().st_size
assert cache.fetch(small, store) == kept
print(sorted(path.name for path in Path(sys.argv[2]).iterdir() if not path.name.endswith("lock")))
"""


@pytest.fixture
def bundle(tmp_path):
    create_bundle(tmp_path / "sir", "sir")
    (tmp_path / "sir/data/large.bin").write_bytes(b"0123456789abcdef" * LARGE_PIECES)
    return tmp_path / "sir"


def contents(root: Path):
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root): path.read_bytes() for path in files}


def test_processes_that_are_killed_leave_a_sound_cache(bundle, tmp_path):
    store = LayoutStore(tmp_path / "registry")
    refs, trees = [], []
    for number in range(2):
        (bundle / "number.txt").write_text(str(number))
        refs.append(store.push("sir", pack(bundle)))
        trees.append(contents(bundle))
    places = [str(tmp_path / "registry"), str(tmp_path / "cache")]
    command = [sys.executable, "-c", FETCH_FOR_EVER, *places, *map(str, refs)]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            # Any moment of the next round.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(random.uniform(0, 0.1))
            process.kill()
        cache = BundleCache(tmp_path / "cache", max_bytes=0)
        for ref, tree in zip(refs, trees, strict=True):
            with cache.open(ref, store) as opened:
                assert contents(opened.folder) == tree
    # Something new is made, so that what was left is looked for.
    (bundle / "number.txt").write_text("another")
    cache.open(store.push("sir", pack(bundle)), store).close()
    left = [path.name for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]
    assert len(left) == 1


def test_processes_that_fetch_at_once_get_the_same(bundle, tmp_path):
    ref = LayoutStore(tmp_path / "registry").push("sir", pack(bundle))
    places = [str(tmp_path / "registry"), str(tmp_path / "cache")]
    command = [sys.executable, "-c", FETCH, *places, str(ref)]
    fetching = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    (tree,) = {process.communicate()[0].strip() for process in fetching}
    assert contents(Path(tree)) == contents(bundle)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_a_process_that_inherits_a_bundle_holds_it(bundle, tmp_path):
    store = LayoutStore(tmp_path / "registry")
    cache = BundleCache(tmp_path / "cache", max_bytes=0)
    refs = []
    for number in range(3):
        (bundle / "number.txt").write_text(str(number))
        refs.append(store.push("sir", pack(bundle)))
    with cache.open(refs[0], store) as opened:
        child = subprocess.Popen(
            ["sh", "-c", "read _"], stdin=subprocess.PIPE, pass_fds=[opened.descriptor]
        )
    with child:
        cache.open(refs[1], store).close()
        assert (opened.folder / "model.py").exists()
        child.kill()
    cache.open(refs[2], store).close()
    assert not opened.folder.exists()


@needs_root
def test_a_full_disk_is_said_and_leaves_the_cache_sound(bundle, tmp_path):
    store = LayoutStore(tmp_path / "registry")
    large = store.push("sir", pack(bundle))
    (bundle / "data/large.bin").unlink()
    small = store.push("sir", pack(bundle))
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=6m tmpfs "$1" && shift && exec "$@"'
    cache = tmp_path / "disk/cache"
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", mount, "sh", tmp_path / "disk"),
            *(sys.executable, "-c", FETCH_ONTO_A_FULL_DISK, tmp_path / "registry", cache),
            *(str(small), str(large)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"the disk of {cache} is full" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == str([small.digest.replace(":", "-")])


def test_a_registry_that_dies_amid_a_blob_is_an_error(oci_registry, bundle, tmp_path):
    ref = RegistryStore(oci_registry.host).push("sir", pack(bundle))
    registry = psutil.Process(oci_registry.pid)

    def kill_it(_count):
        # Called again with what had arrived by then.
        with suppress(psutil.NoSuchProcess):
            registry.kill()

    with pytest.raises(BundleError, match="can't be used") as caught:
        BundleCache(tmp_path / "cache").fetch(ref, RegistryStore(oci_registry.host), kill_it)
    assert "that the registry runs" in caught.value.hint
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_two_pushes_and_fifty_pulls_at_once(oci_registry: RegistryProcess, bundle, tmp_path):
    first, tree = pack(bundle), contents(bundle)
    ref = RegistryStore(oci_registry.host).push("sir", first)

    def push(packed):
        return RegistryStore(oci_registry.host).push("sir", packed)

    def pull(index):
        cache = BundleCache(tmp_path / f"cache-{index % 3}", max_bytes=0)
        with cache.open(ref, RegistryStore(oci_registry.host)) as opened:
            return contents(opened.folder)

    with ThreadPoolExecutor(8) as threads:
        pushes = [threads.submit(push, first) for _ in range(2)]
        pulls = [threads.submit(pull, index) for index in range(50)]
        assert {future.result() for future in pushes} == {ref}
        assert all(future.result() == tree for future in pulls)
