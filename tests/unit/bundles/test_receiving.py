"""Files that blobs are written to."""

from pathlib import Path

from modelops.bundles.receiving import open_empty


def test_a_file_is_made_or_emptied_and_keeps_its_mode(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(b"more than is written")
    old.chmod(0o755)
    for path in (new, old):
        with open_empty(path) as file:
            file.write(b"blob")
        assert path.read_bytes() == b"blob"
    assert old.stat().st_mode & 0o777 == 0o755
