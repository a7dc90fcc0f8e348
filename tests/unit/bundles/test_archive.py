import gzip
import io
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.archive import archive, parent_directories
from modelops.bundles.tree import list_files

parts = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=70
).filter(lambda part: part not in (".", "..") and len(part.encode()) < 250)
paths = st.lists(parts, min_size=1, max_size=5).map("/".join)


def write_all(root: Path, contents: dict[str, bytes]) -> dict[str, bytes]:
    written = {}
    for name, content in contents.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        except OSError:
            continue
        written[name] = content
    return written


@given(contents=st.dictionaries(paths, st.binary(max_size=1500), max_size=6))
def test_other_readers_read_what_was_written(contents):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / ".mopsignore").write_text("!*\n")
        written = write_all(root, contents)
        files = [file for file in list_files(root) if file.name in written]
        data = b"".join(archive(files, "top", parent_directories(written)))
    assert len(gzip.decompress(data)) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        members = tar.getmembers()
        found = {
            member.name: tar.extractfile(member).read() for member in members if member.isfile()
        }
    assert found == {f"top/{file.name}": written[file.name] for file in files}
    directories = [member.name for member in members if member.isdir()]
    assert directories == ["top", *(f"top/{name}" for name in parent_directories(written))]
    for member in members:
        owner = (member.uid, member.gid, member.uname, member.gname, member.mtime)
        assert owner == (0, 0, "", "", 0)


def test_a_large_archive_has_many_stored_blocks(tmp_path):
    content = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(content)
    data = b"".join(archive(list_files(tmp_path), "top", []))
    plain = gzip.decompress(data)
    assert content in plain
    # Five bytes a block, header and trailer: nothing is compressed.
    assert len(data) == len(plain) + 5 * (len(plain) // 65_535 + 1) + 10 + 8
