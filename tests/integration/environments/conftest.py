from __future__ import annotations

from pathlib import Path

import pytest

from environment_bundles import Machine, offline_machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return offline_machine(tmp_path, monkeypatch)
