import contextlib
import gzip
import io
import random
import stat
import tarfile

import pytest
from hypothesis import example, given
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
        unpack(info.tobuf() * 10_000)


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


PATHS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=90),
    min_size=1,
    max_size=4,
).map("/".join)
FORMATS = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
ENTRIES = st.lists(st.tuples(PATHS, st.binary(max_size=1500), st.integers(0, 0o7777)), max_size=6)
DAMAGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3)


def tree_of_tarfile(data):
    """What Python's tarfile finds: names, contents and whether they may be executed."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if member.isdir():
                found.setdefault(member.name, None)
            else:
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = (content.read(), bool(member.mode & 0o100))
    for name in list(found):
        parents = name.split("/")
        found |= {"/".join(parents[:n]): None for n in range(1, len(parents))}
    return found


def tree_of(folder):
    return {
        path.relative_to(folder).as_posix(): None
        if path.is_dir()
        else (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
    }


@given(ENTRIES, FORMATS, st.integers(0, 3), DAMAGES)
@example([("a" * 90 + "/" + "b" * 90, b"x", 0)], tarfile.USTAR_FORMAT, 0, [])
@example([("größe", b"x" * 513, 0o755)], tarfile.PAX_FORMAT, 0, [])
@example([("a", b"x", 0)], tarfile.PAX_FORMAT, 0, [(156, ord("x"))])
@example([("a" * 120, b"x", 0)], tarfile.GNU_FORMAT, 0, [(512 + 110, ord("/"))])
def test_what_is_taken_is_what_tarfile_takes(
    tmp_path_factory, entries, format_, directories, damages
):
    members = [entry(name, content, mode=mode) for name, content, mode in entries]
    members += [entry(f"directory {i}", type=tarfile.DIRTYPE) for i in range(directories)]
    try:
        data = bytearray(archive_of(*members, format_=format_))
    except ValueError:
        return  # A name that ustar can't hold.
    for where, value in damages:
        # A header is damaged as a whole: its sum is right again.
        block = where % len(data) // 512 * 512
        data[where % len(data)] = value
        data[block + 148 : block + 156] = b" " * 8
        data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + 512])
    folder = tmp_path_factory.mktemp("same")
    try:
        Unpacker(folder).add_archive(gzip.compress(bytes(data), 0))
    except BundleError:
        return
    assert tree_of(folder) == tree_of_tarfile(bytes(data))


def with_sum(header):
    """Make the sum of a header right."""
    header = bytearray(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def record(key, value):
    """A record of a pax header."""
    rest = b" %s=%s\n" % (key, value)
    return b"%d%s" % (len(rest) + 1 + (len(rest) > 8), rest)


def pax(*records, kind=tarfile.XHDTYPE):
    """A pax header with records as they are."""
    content = b"".join(records)
    info = tarfile.TarInfo("pax")
    info.type = kind
    info.size = len(content)
    return info.tobuf() + content + bytes(-len(content) % 512)


END = bytes(1024)
FILE = archive_of(entry("a", b"x"), format_=tarfile.USTAR_FORMAT)[:1024]
HEADER = FILE[:512]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (entry("a")[0].tobuf()[:-1] + b"x" + END, "wrong sum"),
        (with_sum(HEADER[:124] + b"00000 00001\0" + HEADER[136:]) + END, "isn't a number"),
        (with_sum(HEADER[:124] + b"\xff" * 12 + HEADER[136:]) + END, "negative size"),
        (with_sum(HEADER[:108] + b"zzzzzzz\0" + HEADER[116:]) + END, "isn't a number"),
        (with_sum(HEADER[:257] + b"other\0" + HEADER[263:]) + END, "no known format"),
        (with_sum(HEADER[:257] + b"ustar  \0" + HEADER[265:345] + b"p" + HEADER[346:]), "changes"),
        (with_sum(b"a\xff" + HEADER[2:]) + END, "isn't UTF-8"),
        (with_sum(b"a/" + HEADER[2:]) + END, "with the name of a directory"),
        (entry("a", b"x", type=tarfile.DIRTYPE)[0].tobuf() + bytes(512) + END, "with content"),
        (FILE + END + b"x" * 512, "behind its end"),
        (pax(b"9 path=b\n") + pax(b"9 path=c\n") + FILE + END, "two headers for one entry"),
        (pax(b"9 path=b\n") + END, "a header without an entry"),
        (pax(b"9 path=b\n") + pax(record(b"mtime", b""), kind=tarfile.XGLTYPE), "without an entry"),
        (pax(record(b"mtime", b"1"), kind=tarfile.XGLTYPE) + END, "a header without an entry"),
        (pax(b"9 path=b\n", kind=tarfile.XGLTYPE) + FILE + END, "'path' for all of its files"),
        (pax(b"9 path=b\n9 path=c\n") + FILE + END, "isn't one of pax"),
        (pax(b"99 path=b\n") + FILE + END, "isn't one of pax"),
        (pax(b"path=b\n") + FILE + END, "isn't one of pax"),
        (pax(record(b"size", b"-1")) + FILE + END, "of the size b'-1'"),
        (pax(record(b"path", b"\xff")) + FILE + END, "isn't UTF-8"),
        (pax(record(b"GNU.sparse.size", b"9")) + FILE + END, "sparse"),
        (pax(record(b"hdrcharset", b"BINARY")) + FILE + END, "no Unicode"),
        (pax(record(b"path", b"b"))[:521] + b"x" + bytes(502) + FILE + END, "hidden part"),
        (pax(record(b"path", b"../../b")) + FILE + END, "a path inside"),
        (pax(record(b"path", b"a\0b")) + FILE + END, "a path inside"),
    ],
)
def test_hostile_headers_are_refused_by_name(unpack, tmp_path, data, why):
    with pytest.raises(BundleError, match=why):
        unpack(data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layer", "target"]


def test_ten_gigabytes_declared_in_a_kilobyte_are_refused(unpack, tmp_path):
    info = tarfile.TarInfo("a")
    info.size = 10 * 2**30
    with pytest.raises(BundleError, match="ends too early"):
        unpack(info.tobuf(tarfile.GNU_FORMAT) + bytes(512))
    assert (tmp_path / "target/a").stat().st_size < 1024


def test_a_decompression_bomb_is_refused(unpack, tmp_path):
    bomb = archive_of(entry("a", bytes(3 * 2**20)))
    with pytest.raises(BundleError, match="unpacks to more than 1,048,576 bytes"):
        unpack(bomb, UnpackLimits(small_bytes=2**20))
    assert (tmp_path / "target/a").stat().st_size <= 2**20


def test_directories_that_names_imply_are_counted(unpack):
    deep = archive_of(*(entry(f"{i}/b/c/d", b"x") for i in range(3)))
    with pytest.raises(BundleError, match="more than 8 files"):
        unpack(deep, UnpackLimits(entries=8))


def test_directories_may_be_in_several_archives_files_may_not(tmp_path):
    (tmp_path / "target").mkdir()
    unpacker = Unpacker(tmp_path / "target")
    for name in ("a/b", "a/c", "a/c"):
        layer = gzip.compress(archive_of(entry("a", type=tarfile.DIRTYPE), entry(name, b"x")))
        if (tmp_path / "target" / name).exists():
            with pytest.raises(BundleError, match="'a/c' twice"):
                unpacker.add_archive(layer)
        else:
            unpacker.add_archive(memoryview(layer))
    assert {path.name for path in (tmp_path / "target/a").iterdir()} == {"b", "c"}


@pytest.mark.parametrize(
    "name", ["d/" * 200 + "a", "n" * 300, "/".join(["p" * 200] * 30)], ids=["deep", "part", "path"]
)
def test_names_that_no_system_takes_are_refused(unpack, name):
    with pytest.raises(BundleError):
        unpack(archive_of(entry(name, b"x")))


def test_a_newline_in_a_name_is_a_part_of_it(unpack):
    assert (unpack(archive_of(entry("a\nb", b"x"))) / "a\nb").read_bytes() == b"x"


@pytest.mark.parametrize("behind", [b"x", bytes(1), gzip.compress(b"", mtime=0)])
def test_what_stands_behind_the_gzip_is_refused(tmp_path, behind):
    with pytest.raises(BundleError, match="something behind its end"):
        Unpacker(tmp_path).add_archive(gzip.compress(archive_of(entry("a", b"x"))) + behind)


@pytest.mark.parametrize("name", ["", "/", "../a", "a/../b", "a\0", "\ud800"])
def test_a_file_of_its_own_stays_inside_too(tmp_path, name):
    with pytest.raises(BundleError):
        Unpacker(tmp_path).add_file(name, 1, 0o644)
    assert list(tmp_path.iterdir()) == []
