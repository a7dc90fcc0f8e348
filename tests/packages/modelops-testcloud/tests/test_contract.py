"""testcloud keeps the contract of providers."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelops.services.dask_settings import SCHEDULER_ENV
from modelops.testing.providers import ProviderContract


@pytest.fixture(scope="module", autouse=True)
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The scheduler that is there before any environment, and stays."""
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
            *("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        ],
        env={**os.environ, **SCHEDULER_ENV},
    )
    try:
        deadline = time.monotonic() + 60
        while not file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        TestTestcloud.scheduler = json.loads(file.read_text())["address"]
        yield TestTestcloud.scheduler
    finally:
        process.terminate()
        process.wait()


class TestTestcloud(ProviderContract):
    name = "testcloud"
    scheduler = ""

    def spec(self, folder: Path) -> Mapping[str, Any]:
        return {"provider": self.options(folder), "workerGroups": {"default": {"min": 1, "max": 1}}}

    def refused(self) -> Mapping[str, Mapping[str, Any]]:
        here = Path("/srv")
        return {
            "postgres": {"databases": {"journal": {"engine": "postgres"}}},
            "acr": {"registry": {"class": "acr"}},
            "provider.folder": {"provider": self.options(here) | {"folder": "relative"}},
            "provider.scheduler": {"provider": self.options(here) | {"scheduler": "somewhere"}},
        }

    def destroy(self, outputs: Mapping[str, Any]) -> bool:
        if "pid" in outputs:
            psutil.Process(int(outputs["pid"])).kill()
        else:
            shutil.rmtree(outputs["path"])
        return True

    def remains(self, folder: Path, env: str) -> Sequence[str]:
        place = folder / env
        commands = [
            " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
        ]
        return [command for command in commands if f"{place}/" in command] + [
            str(path) for path in sorted(place.glob("**/*"))
        ]

    def options(self, folder: Path) -> dict[str, Any]:
        return {"name": "testcloud", "folder": str(folder), "scheduler": self.scheduler}
