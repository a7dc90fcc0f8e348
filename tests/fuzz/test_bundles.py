"""Hostile bundles: whatever comes gives a tree or a named error, and writes nothing elsewhere.

`make test` tries some mutations of each kind, `make fuzz` ten thousand.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.bundles.artifact import (
    ARCHIVE_MEDIA_TYPE,
    Descriptor,
    ImageManifest,
    digest_of,
)
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.registry_file import REGISTRY_FILE, BundleRegistry, read_registry
from modelops.bundles.template import create_bundle
from modelops.bundles.unpack import UnpackLimits
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError, BundleFileError

MEMORY_BYTES = 512 * 2**20
"""How much more memory than all before it a mutation may take."""
LIMITS = UnpackLimits(total_bytes=64 * 2**20, entries=2000)
FUZZ = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)

pytestmark = pytest.mark.timeout(3000)


@dataclass
class Blobs:
    """A store that gives out what it was made with, whatever its digest is."""

    manifest: bytes
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def ref(self) -> BundleRef:
        return BundleRef("hostile", digest_of(self.manifest))

    def read_manifest(self, ref: BundleRef) -> bytes:
        del ref
        return self.manifest

    def read_blob(self, ref: BundleRef, descriptor: Descriptor, progress: Any = None) -> memoryview:
        del ref, progress
        return memoryview(self._checked(descriptor))

    def fetch_blob(
        self, ref: BundleRef, descriptor: Descriptor, target: Path, progress: Any = None
    ) -> None:
        del ref, progress
        target.write_bytes(self._checked(descriptor))

    def _checked(self, descriptor: Descriptor) -> bytes:
        data = self.blobs.get(descriptor.digest)
        if data is None or len(data) != descriptor.size:
            raise BundleError(f"{descriptor.digest} isn't there.")
        return data


# An audit hook can't be taken away: this one sees only what happens while `_written` is a list.
_written: list[str] | None = None
_WRITES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.chmod")


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _written is None:
        return
    if event == "open" and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _written.append(os.fsdecode(arguments[0]))
    elif event in _WRITES:
        _written.extend(os.fsdecode(item) for item in arguments if isinstance(item, (str, bytes)))


@pytest.fixture(scope="module", autouse=True)
def _watched() -> None:
    sys.addaudithook(_note)


@contextmanager
def only_below(folder: Path) -> Iterator[None]:
    """Fail if anything is written outside of a folder in the block."""
    global _written  # noqa: PLW0603 - a hook has no other way to be told
    _written = written = []
    try:
        yield
    finally:
        _written = None
    elsewhere = [
        path
        for path in written
        if Path(path).is_absolute() and not os.path.realpath(path).startswith(f"{folder}/")
    ]
    assert set(elsewhere) <= {str(folder)}


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Fail if the process grows by more than MEMORY_BYTES."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MEMORY_BYTES


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    """A small bundle."""
    root = tmp_path_factory.mktemp("bundle") / "sir"
    create_bundle(root, "sir")
    (root / ("long-" * 40 + "name")).write_text("for a pax header")
    packed = pack(root)
    blobs = {blob.descriptor.digest: b"".join(blob.chunks()) for blob in packed.blobs}
    return Blobs(packed.manifest, blobs)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The data with a few bytes flipped, cut out, doubled, or put in."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result)))
        kind = draw(st.sampled_from(("flip", "cut", "double", "insert", "number", "truncate")))
        if kind == "flip" and at < len(result):
            result[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del result[at : at + draw(st.sampled_from((1, 8, 512, 1024)))]
        elif kind == "double":
            result[at:at] = result[at : at + draw(st.sampled_from((1, 512, 1024)))]
        elif kind == "insert":
            result[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif kind == "number":
            result[at : at + 8] = draw(st.sampled_from((b"77777777", b"\x80" + b"\xff" * 7)))
        else:
            del result[at:]
    return bytes(result)


NAMES = st.one_of(
    st.sampled_from(
        ("..", "../up", "/etc/x", "sir/../../x", "sir//x", "sir/a\nb", "sir/.", "sir/model.py", "")
    ),
    st.text(max_size=300).map(lambda text: f"sir/{text}"),
)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Archives as `tarfile` writes them, with entries of every kind and name."""
    target = io.BytesIO()
    kinds = st.sampled_from(
        (
            *(tarfile.REGTYPE,) * 6,
            *(tarfile.DIRTYPE,) * 3,
            *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"V"),
        )
    )
    formats = st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=target, mode="w", format=draw(formats)) as archive:
        for _ in range(draw(st.integers(0, 6))):
            member = tarfile.TarInfo(draw(NAMES).replace("\0", ""))
            member.type = draw(kinds)
            member.mode = draw(st.integers(0, 0o7777))
            member.linkname = draw(st.sampled_from(("/etc/passwd", "../..", "sir")))
            content = draw(st.binary(max_size=600)) if member.type == tarfile.REGTYPE else b""
            member.size = len(content)
            try:
                archive.addfile(member, io.BytesIO(content))
            except (ValueError, UnicodeError):
                continue  # the format can't hold such a name
    return target.getvalue()


def fixed(tar: bytes) -> bytes:
    """The archive with the right sums in its headers, so that a reader looks at the rest."""
    result = bytearray(tar)
    for start in range(0, len(result) - 511, 512):
        block = result[start : start + 512]
        if block[257:262] == b"ustar":
            total = sum(block) - sum(block[148:156]) + 8 * 0x20
            result[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(result)


def with_archive(good: Blobs, layer: bytes) -> Blobs:
    """The bundle with another archive, rightly named by its manifest: its author is hostile."""
    manifest = ImageManifest.parse(good.manifest)
    descriptor = Descriptor(media_type=ARCHIVE_MEDIA_TYPE, digest=digest_of(layer), size=len(layer))
    changed = manifest.model_copy(update={"layers": [descriptor]})
    return Blobs(changed.encode(), {**good.blobs, descriptor.digest: layer})


def tree_of(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def fetched(store: Blobs, folder: Path) -> dict[str, bytes] | None:
    """Return the files that a bundle gives; None if it was refused by an error that says why."""
    with new_folder(folder) as cache:
        with only_below(cache):
            try:
                bundle = BundleCache(cache, LIMITS).open(store.ref, store)
            except BundleError:
                return None
        with bundle:
            return tree_of(bundle.folder)


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """A folder for one mutation."""
    with tempfile.TemporaryDirectory(dir=parent.resolve()) as folder:
        yield Path(folder)


@given(data=st.data())
@FUZZ
def test_manifests(good: Blobs, tmp_path: Path, data: st.DataObject) -> None:
    with bounded_memory():
        fetched(Blobs(data.draw(mutated(good.manifest)), good.blobs), tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(data=st.data())
@FUZZ
def test_manifests_that_are_json(good: Blobs, tmp_path: Path, data: st.DataObject) -> None:
    content = json.loads(good.manifest)
    place: Any = content
    for _ in range(data.draw(st.integers(0, 3))):
        if not isinstance(place, (dict, list)) or not place:
            break
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(sorted(keys)))
        if not isinstance(place[key], (dict, list)) or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    with bounded_memory():
        fetched(Blobs(json.dumps(content).encode(), good.blobs), tmp_path)


@given(data=st.data())
@FUZZ
def test_layers(good: Blobs, tmp_path: Path, data: st.DataObject) -> None:
    (layer,) = (
        good.blobs[item.digest]
        for item in ImageManifest.parse(good.manifest).layers
        if item.media_type == ARCHIVE_MEDIA_TYPE
    )
    with bounded_memory():
        fetched(with_archive(good, data.draw(mutated(layer))), tmp_path)


def _tarfile_reads(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {
            member.name: (archive.extractfile(member) or io.BytesIO()).read()
            for member in archive
            if member.isfile()
        }


@given(data=st.data())
@FUZZ
def test_archives_in_layers(good: Blobs, tmp_path: Path, data: st.DataObject) -> None:
    whole: Callable[[bytes], bytes] = data.draw(st.sampled_from((bytes, fixed)))
    tar = data.draw(archives())
    if data.draw(st.booleans()):
        tar = whole(data.draw(mutated(tar)))
    layer = gzip.compress(tar, compresslevel=data.draw(st.sampled_from((0, 6))), mtime=0)
    with bounded_memory():
        found = fetched(with_archive(good, layer), tmp_path)
    if found is not None:
        # Who unpacks it with other means gets the same.
        expected = _tarfile_reads(tar)
        top = {name.partition("/")[0] for name in expected} or {"sir"}
        assert {f"{next(iter(top))}/{name}": content for name, content in found.items()} == expected


@given(data=st.data())
@FUZZ
def test_what_changed_on_the_way_is_refused(
    good: Blobs, tmp_path: Path, data: st.DataObject
) -> None:
    digest = data.draw(st.sampled_from(sorted({*good.blobs, good.ref.digest})))
    whole = {**good.blobs, good.ref.digest: good.manifest}
    changed = data.draw(mutated(whole[digest]))
    config = ImageManifest.parse(good.manifest).config.digest
    with new_folder(tmp_path) as folder:
        blobs = folder / "layouts/hostile/blobs"
        (blobs / "sha256").mkdir(parents=True)
        for name, blob in {**whole, digest: changed}.items():
            (blobs / name.replace(":", "/")).write_bytes(blob)
        store = LayoutStore(folder / "layouts")
        try:
            bundle = BundleCache(folder / "cache", LIMITS).open(good.ref, store)
        except BundleError:
            return
        # A worker has no use for the config, and doesn't fetch it.
        assert changed == whole[digest] or digest == config
        with bundle:
            assert (bundle.folder / "model.py").is_file()


@given(data=st.data())
@FUZZ
def test_registries(tmp_path: Path, data: st.DataObject) -> None:
    text = (
        b"models:\n  sir: {path: model.py, entrypoint: 'model:simulate'}\n"
        b"targets:\n  prevalence:\n    path: targets.py\n    entrypoint: targets:prevalence\n"
        b"x: &a [1, *a]\n"
    )
    with new_folder(tmp_path) as root:
        (root / REGISTRY_FILE).parent.mkdir(parents=True)
        (root / REGISTRY_FILE).write_bytes(data.draw(mutated(text)))
        with bounded_memory(), only_below(root):
            try:
                registry = read_registry(root)
            except BundleFileError:
                return
    assert BundleRegistry.from_json(registry.to_json()) == registry
