import contextlib
import gzip
import io
import random
import stat
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelops.bundles.unpack import Unpacker, UnpackLimits
from modelops.core.errors import BundleError


def entry(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def archive_of(*entries, format_=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def unpack(tmp_path):
    def run(plain, limits=None, *, compress=True):
        target = tmp_path / "target"
        target.mkdir()
        layer = tmp_path / "layer"
        layer.write_bytes(gzip.compress(plain) if compress else plain)
        Unpacker(target, limits).add_archive(layer)
        return target

    return run


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_unpacks_what_others_wrote(unpack, format_):
    long = "/".join(["deep"] * 60) + "/größe.txt"
    contents = {"a/b.txt": b"1" * 512, "empty": b"", long: b"x" * 3_000_000}
    target = unpack(
        archive_of(
            entry("a", type=tarfile.DIRTYPE),
            *(entry(name, content) for name, content in contents.items()),
            format_=format_,
        )
    )
    found = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*.*")}
    assert found == {name: content for name, content in contents.items() if name != "empty"}
    assert (target / "empty").read_bytes() == b""


def test_modes_are_made_plain(unpack):
    target = unpack(archive_of(entry("a", mode=0o6777), entry("b", mode=0o666)))
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "b").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/./b", "..", ".", "a\\b", "\udcff"],
)
def test_names_stay_inside(unpack, tmp_path, name):
    with pytest.raises(BundleError):
        unpack(archive_of(entry(name, b"x"), format_=tarfile.GNU_FORMAT))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layer", "target"]
    assert list((tmp_path / "target").rglob("*")) == []


@pytest.mark.parametrize(
    "type_",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
def test_only_files_and_directories(unpack, type_):
    with pytest.raises(BundleError):
        unpack(archive_of(entry("a", type=type_, linkname="/etc"), entry("a/b", b"x")))


@pytest.mark.parametrize(
    "entries",
    [
        [entry("a", b"1"), entry("a", b"2")],
        [entry("a", b"1"), entry("a/b", b"2")],
        [entry("a/b", b"1"), entry("a", b"2")],
        [entry("a", b"1"), entry("a", type=tarfile.DIRTYPE)],
    ],
)
def test_nothing_is_there_twice(unpack, entries):
    with pytest.raises(BundleError, match=r"twice|in the place of a file"):
        unpack(archive_of(*entries))


def test_the_size_is_limited(unpack, tmp_path):
    with pytest.raises(BundleError, match="larger than 1,000 bytes"):
        unpack(archive_of(entry("a", b"x" * 600), entry("b", b"x" * 600)), UnpackLimits(1000))
    assert not (tmp_path / "target" / "b").exists()


def test_the_number_is_limited(unpack):
    with pytest.raises(BundleError, match="more than 3 files"):
        unpack(archive_of(*(entry(str(i)) for i in range(5))), UnpackLimits(entries=3))


def test_a_header_cannot_fill_the_memory(unpack):
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = 50 * 2**20
    with pytest.raises(BundleError, match="header is too large"):
        unpack(info.tobuf() + bytes(info.size) + bytes(1024))


def test_headers_without_end_are_refused(unpack):
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = 0
    with pytest.raises(BundleError):
        unpack(info.tobuf() * 100_000)


@pytest.mark.parametrize("cut", [0, 100, 511, 512, 600, 1024, 1500])
def test_an_archive_that_is_cut_short_is_refused(unpack, cut):
    with pytest.raises(BundleError):
        unpack(archive_of(entry("a", b"x" * 900), entry("b", b"y"))[:cut])


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip", gzip.compress(b"x" * 2000)[:-9]],
    ids=["nothing", "no gzip", "cut short"],
)
def test_what_is_no_archive_is_refused(unpack, data):
    with pytest.raises(BundleError):
        unpack(data, compress=False)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 20))
def test_damage_is_refused_or_harmless(tmp_path_factory, seed, flips):
    chance = random.Random(seed)
    data = bytearray(
        archive_of(entry("a/größe", b"x" * 700), entry("b", b"y"), entry("c", type=tarfile.DIRTYPE))
    )
    for _ in range(flips):
        data[chance.randrange(len(data))] = chance.randrange(256)
    folder = tmp_path_factory.mktemp("damage")
    (folder / "target").mkdir()
    (folder / "layer").write_bytes(gzip.compress(bytes(data), 1))
    with contextlib.suppress(BundleError):
        Unpacker(folder / "target").add_archive(folder / "layer")
    assert sorted(path.name for path in folder.iterdir()) == ["layer", "target"]
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["", "/", "../a", "a/../b", "a\0", "\ud800"])
def test_a_file_of_its_own_stays_inside_too(tmp_path, name):
    with pytest.raises(BundleError):
        Unpacker(tmp_path).add_file(name, 1, 0o644)
    assert list(tmp_path.iterdir()) == []
