"""Pulling a bundle: cold, beside raw HTTP and skopeo; from the cache; and many small files.

The raw client checks nothing. What it costs to hash the same bytes, already in memory, is told too:
a blob's digest is one sequence of SHA-256, so no pull that verifies can be faster than that.
"""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

from _bundle_case import give_up

from modelops.bundles.artifact import Descriptor, ImageManifest
from modelops.bundles.cache import BundleCache
from modelops.bundles.packing import pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.stores import BundleStore
from modelops.contracts import BundleRef

RUNS = 5
RAW_BAR, SKOPEO_BAR, CACHED_BAR, TAR_BAR = 1.15, 0.4, 0.005, 3.0
SMALL_FILES, SMALL_BYTES = 10_000, 1024


class Case(Protocol):
    """What is measured on: a bundle, and a registry on loopback."""

    root: Path
    host: str

    def raw_download(self, blobs: Sequence[Descriptor], repo: str, to: Path) -> None:
        """Move blobs to disk by bare HTTP, in 8 threads."""


@dataclass(frozen=True)
class Figure:
    """A figure in seconds, beside a baseline of the same run; without a bar it's told only."""

    name: str
    value: float
    baseline: float
    bar: float | None


def measure(case: Case) -> Iterator[Figure]:
    """Yield the figures of pulling `case.root`."""
    store = RegistryStore(case.host)
    ref = store.push("bench-pull", pack(case.root))
    manifest = ImageManifest.parse(store.read_manifest(ref))
    blobs = [manifest.config, *manifest.layers]
    to_hash = b"".join(store.read_blob(ref, blob) for blob in blobs)
    with tempfile.TemporaryDirectory(prefix="bench-pull-", dir=case.root.parent) as folder:
        scratch = Path(folder)
        ours, raw, skopeo = _interleaved(
            scratch,
            lambda to: _pull(store, ref, to),
            lambda to: case.raw_download(blobs, "bench-pull", to),
            lambda to: _skopeo(case.host, ref, to),
        )
        yield Figure("cold pull, beside raw download", ours, raw, RAW_BAR)
        yield Figure("SHA-256 of the blobs alone, beside raw download", _hashed(to_hash), raw, None)
        yield Figure("cold pull, beside skopeo copy", ours, skopeo, SKOPEO_BAR)
        yield Figure("opening a cached bundle", _cached(scratch, store, ref), CACHED_BAR, 1.0)
        many = scratch / "many"
        _write_small_files(many)
        ref = store.push("bench-small", pack(many))
        ours, tar = _interleaved(
            scratch, lambda to: _pull(store, ref, to), lambda to: _untar(many, to)
        )
        yield Figure("pull of 10,000 small files, beside tar from a pipe", ours, tar, TAR_BAR)


def _interleaved(scratch: Path, *works: Callable[[Path], None]) -> list[float]:
    """Return the median seconds of each; one after the other, so that noise meets all of them."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(RUNS):
        for work, taken in zip(works, seconds, strict=True):
            to = Path(tempfile.mkdtemp(dir=scratch))
            start = time.perf_counter()
            work(to)
            taken.append(time.perf_counter() - start)
            give_up(to)
    return [median(taken) for taken in seconds]


def _hashed(data: bytes) -> float:
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        hashlib.sha256(data).digest()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def _pull(store: BundleStore, ref: BundleRef, to: Path) -> None:
    BundleCache(to / "cache").open(ref, store).close()


def _cached(scratch: Path, store: BundleStore, ref: BundleRef) -> float:
    cache = BundleCache(scratch / "cache")
    cache.open(ref, store).close()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        BundleCache(scratch / "cache").open(ref, _Nowhere()).close()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


class _Nowhere(RegistryStore):
    """A store that can't be reached."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")


def _skopeo(host: str, ref: BundleRef, to: Path) -> None:
    source = f"docker://{host}/{ref.repository}@{ref.digest}"
    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", source, f"dir:{to}"]
    subprocess.run(command, check=True)


def _write_small_files(root: Path) -> None:
    root.mkdir()
    name = '{"name": "small", "version": "1", "entrypoint": "model:simulate"}'
    (root / "manifest.json").write_text(name)
    (root / "model.py").write_text("def simulate(params, seed):\n    return {}\n")
    for index in range(SMALL_FILES):
        folder = root / f"data/{index // 100:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:05}.bin").write_bytes(b"%05d" % index * (SMALL_BYTES // 5))


def _untar(root: Path, to: Path) -> None:
    archive = root.with_suffix(".tar")
    if not archive.exists():
        with archive.open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(root, "small")
    with subprocess.Popen(["tar", "-x", "-C", str(to)], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        with archive.open("rb") as file:
            shutil.copyfileobj(file, process.stdin, io.DEFAULT_BUFFER_SIZE * 32)
        process.stdin.close()
        if process.wait():
            raise SystemExit("tar failed")
