from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest

from modelops.contracts import FailureReason
from modelops.worker.oom_kills import OomWatch, oom_kills

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = -math.inf
MiB = 2**20


def write_version_1(folder: Path, kills: int, most: int = 100 * MiB) -> None:
    text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"
    (folder / "memory.oom_control").write_text(text)
    (folder / "memory.limit_in_bytes").write_text(f"{100 * MiB}\n")
    (folder / "memory.max_usage_in_bytes").write_text(f"{most}\n")


def write_version_2(folder: Path, kills: int, oom: int = 1) -> None:
    text = f"low 0\nhigh 0\nmax 17\noom {oom}\noom_kill {kills}\noom_group_kill 0\n"
    (folder / "memory.events").write_text(text)


@pytest.mark.parametrize("write", [write_version_1, write_version_2])
def test_what_was_ended_is_counted(tmp_path: Path, write: object) -> None:
    assert callable(write)
    for kills in (0, 3):
        write(tmp_path, kills)
        assert oom_kills(str(tmp_path)) == kills


def test_what_others_used_up_is_no_fault_of_the_model(tmp_path: Path) -> None:
    write_version_1(tmp_path, 1, most=60 * MiB)
    assert oom_kills(str(tmp_path)) == 0

    write_version_2(tmp_path, 1, oom=0)
    assert oom_kills(str(tmp_path)) == 0


def test_nothing_is_counted_where_nothing_can_be_read(tmp_path: Path) -> None:
    assert oom_kills(str(tmp_path / "absent")) == 0


def test_each_kill_is_one_simulations(tmp_path: Path) -> None:
    write_version_2(tmp_path, 2)
    watch = OomWatch(str(tmp_path), 100 * MiB)
    assert watch.kills == 2
    assert watch.look(LONG_AGO) is None

    write_version_2(tmp_path, 3)
    failure = watch.look(LONG_AGO)

    assert failure is not None
    assert failure.reason is FailureReason.MEMORY
    assert "than they may, 104,857,600" in failure.message
    assert watch.kills == 3
    assert watch.look(LONG_AGO) is None


def test_what_takes_no_time_is_not_looked_at(tmp_path: Path) -> None:
    watch = OomWatch(str(tmp_path), 100 * MiB)
    write_version_2(tmp_path, 1)

    assert watch.look(time.monotonic() + 60) is None


def test_without_a_cgroup_or_a_limit_nothing_is_seen(tmp_path: Path) -> None:
    write_version_2(tmp_path, 1)

    for watch in (OomWatch("", 100 * MiB), OomWatch(str(tmp_path), None)):
        assert (watch.kills, watch.look(LONG_AGO)) == (0, None)
