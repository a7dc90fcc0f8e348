"""The local provider keeps the contract of providers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import processes_below
from modelops.core.automation import ENGINE_VERSION, tool_cache
from modelops.core.settings import Home
from modelops.providers.local.layout import LocalLayout
from modelops.testing.providers import ProviderContract

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


@pytest.fixture(scope="module", autouse=True)
def _engine_is_built() -> None:
    engine = tool_cache() / f"pulumi-v{ENGINE_VERSION}" / "bin" / "pulumi"
    assert engine.exists(), "the engine isn't built: make test-tools"


class TestLocalProvider(ProviderContract):
    name = "local"

    def spec(self, folder: Path) -> Mapping[str, Any]:
        return {
            "provider": {"name": "local"},
            "databases": {"journal": {}, "second": {}},
            "workerGroups": {"default": {"min": 1, "max": 1}},
        }

    def refused(self) -> Mapping[str, Mapping[str, Any]]:
        return {"region": {"provider": {"name": "local", "region": "north"}}}

    def destroy(self, outputs: Mapping[str, Any]) -> bool:
        if "pid" in outputs:
            psutil.Process(int(outputs["pid"])).kill()
        elif "path" in outputs:
            shutil.rmtree(outputs["path"])
        # A certificate's key is lost for good: the new one is another, and a binding says so.
        return "pid" in outputs or "path" in outputs

    def remains(self, folder: Path, env: str) -> Sequence[str]:
        layout = LocalLayout.of(Home.current(), env)
        parts = (*layout.data_directories(), layout.root)
        processes = [str(process) for process in processes_below(layout.root)]
        return [str(part) for part in parts if part.exists()] + processes
