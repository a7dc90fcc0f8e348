"""Where commands are told to write."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelops.cli import main as cli
from modelops.cli.written import check_output, write_parquet
from modelops.core.errors import UsageError


def test_a_file_needs_a_place(tmp_path: Path) -> None:
    check_output(None)
    check_output(tmp_path / "new.parquet")
    with pytest.raises(UsageError, match="a directory"):
        check_output(tmp_path)
    with pytest.raises(UsageError, match="there's no directory"):
        check_output(tmp_path / "none" / "new.parquet")


def test_a_table_is_written(tmp_path: Path) -> None:
    table = pa.table({"trial": [0, 1]})
    write_parquet(table, tmp_path / "new.parquet")
    assert pq.ParquetFile(tmp_path / "new.parquet").read().equals(table)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("results", "--output", "none/x.parquet"), "there's no directory none"),
        (("rescore", "--targets", "t.py", "-o", "none/x.parquet"), "there's no directory none"),
        (("prune", "--older-than", "1000000000d"), "no calendar goes back so far"),
        (("prune", "--older-than", "1000000d"), "no calendar goes back so far"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(["adaptive", *arguments])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
