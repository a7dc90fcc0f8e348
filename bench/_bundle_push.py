"""What a push costs, beside a bare HTTP client that sends the same bytes, skopeo, and tar."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import median

from _bundle_case import (
    BundleCase,
    files_as_blobs,
    skopeo,
    skopeo_copy,
    write_small_files,
)
from _figures import RUNS, figure, seconds

from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.pushing import BundlePush
from modelops.bundles.stores import open_store
from modelops.core.settings import Home

REPOSITORY = "bench"
FIRST_BAR, FILES_BAR, TAR_BAR = 1.15, 0.4, 3.0
UNCHANGED_BAR, CHANGED_BAR, MOVED_BAR = 0.015, 0.05, 10**6
MANY_FILES = 10_000


class Sent:
    """Counts what a push sends, in bytes."""

    def __init__(self) -> None:
        self.size = 0

    def expect(self, size: int) -> None:
        """Count what is going to be sent."""
        self.size += size

    def moved(self, size: int) -> None:
        """Pass over what was."""


def measure(case: BundleCase) -> bool:
    """Print the figures of pushes; return whether all bars hold."""
    return all([_first_push(case), _next_pushes(case), _many_files(case)])


def _first_push(case: BundleCase) -> bool:
    blobs = _blobs_of(case)
    files = files_as_blobs(case.root)
    program = skopeo()
    layout = case.folder / "layout"
    LayoutStore(layout).push(REPOSITORY, pack(case.root))
    ways: dict[str, Callable[[BundleCase], object]] = {
        "ours": lambda fresh: _push(case.root, _registry(fresh)),
        "raw": lambda fresh: fresh.raw_upload(blobs, REPOSITORY),
        "files": lambda fresh: fresh.raw_upload(files, REPOSITORY),
    }
    if program is not None:
        ways["skopeo"] = lambda fresh: skopeo_copy(
            program,
            f"oci:{layout / REPOSITORY}:1.0.0",
            f"docker://{fresh.host}/{REPOSITORY}:1.0.0",
        )
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            _forget()
            with case.empty_registry() as fresh:
                times[name].append(seconds(lambda: way(fresh)))  # noqa: B023 - it's called here
    found = {name: median(taken) for name, taken in times.items()}
    ours = found["ours"]
    holds = [
        figure("first push / raw, same blobs", ours, "s", baseline=found["raw"], bar=FIRST_BAR),
        figure(
            f"first push / raw, {len(files)} blobs",
            ours,
            "s",
            baseline=found["files"],
            bar=FILES_BAR,
        ),
    ]
    if "skopeo" in found:
        figure("first push / skopeo copy", ours, "s", baseline=found["skopeo"])
    return all(holds)


def _next_pushes(case: BundleCase) -> bool:
    _forget()
    store = _registry(case)
    _push(case.root, store)
    _push(case.root, store)
    unchanged = median(seconds(lambda: _push(case.root, store)) for _ in range(RUNS))
    times, moved = [], []
    path = case.root / "data/part5/005.bin"
    before = path.read_bytes()
    for _ in range(RUNS):
        path.write_bytes(os.urandom(len(before)))
        sent = Sent()
        times.append(seconds(lambda: BundlePush(case.root).to(store, REPOSITORY, sent)))  # noqa: B023
        moved.append(sent.size)
    path.write_bytes(before)
    return all(
        [
            figure("push, nothing changed", unchanged, "s", bar=UNCHANGED_BAR),
            figure("push, one small file changed", median(times), "s", bar=CHANGED_BAR),
            figure("push, one small file changed, sent", max(moved), "bytes", bar=MOVED_BAR),
        ]
    )


def _many_files(case: BundleCase) -> bool:
    root = case.folder / "many"
    write_small_files(root, MANY_FILES)
    archive = case.folder / "many.tar"
    command = f"tar cf - -C {root} . | cat > {archive}"
    tar, registry, layout = [], [], []
    for index in range(RUNS):
        tar.append(seconds(lambda: subprocess.run(command, shell=True, check=True)))
        _forget()
        with case.empty_registry() as fresh:
            registry.append(seconds(lambda: _push(root, _registry(fresh))))
        _forget()
        target = LayoutStore(case.folder / f"layout-{index}")
        layout.append(seconds(lambda: _push(root, target)))  # noqa: B023
    holds = [
        figure(
            f"push of {MANY_FILES:,} files / tar to a file, {where}",
            median(taken),
            "s",
            baseline=median(tar),
            bar=TAR_BAR,
        )
        for where, taken in (("registry", registry), ("layout", layout))
    ]
    return all(holds)


def _push(root: Path, store: BundleStore) -> object:
    return BundlePush(root).to(store, REPOSITORY)


def _registry(case: BundleCase) -> BundleStore:
    return open_store(f"oci://{case.host}")


def _forget() -> None:
    """Forget what earlier pushes found out, so that the next one is a first push."""
    for folder in (Home.current().push_memory, Home.current().pushed_blobs):
        for path in folder.glob("*"):
            path.unlink()


def _blobs_of(case: BundleCase) -> dict[str, Path]:
    """Write the bundle's blobs to files; return digest → file."""
    folder = case.folder / "blobs"
    folder.mkdir()
    blobs = {}
    for blob in pack(case.root).blobs:
        path = folder / blob.descriptor.digest
        path.write_bytes(b"".join(blob.chunks()))
        blobs[blob.descriptor.digest] = path
    return blobs
