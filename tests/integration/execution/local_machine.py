"""Simulations in processes of this machine, of models that the tests write."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from modelops.bundles.access import RegistryAccess
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef, FailureReason, SimReturn, SimStatus
from modelops.services.process import ProcessSimulationService
from modelops.worker.outputs import from_ipc

SECONDS = 50.0
"""How long anything may take before a test fails."""


class LocalMachine:
    """A registry and a cache of bundles in a folder, and services on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = RegistryAccess(f"oci-layout://{folder / 'registry'}")

    def push(self, model: str, **files: str) -> BundleRef:
        """Push a bundle with a module `model`, and with other files: `a_txt` is `a.txt`."""
        bundle = Path(tempfile.mkdtemp(dir=self.folder))
        manifest = {"name": "model", "version": "1.0.0", "entrypoint": "model:simulate"}
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        (bundle / "model.py").write_text(model)
        for name, text in files.items():
            (bundle / name.replace("_", ".")).write_text(text)
        return open_store(self.registry.url).push("tests/model", pack(bundle))

    def service(self, slots: int = 2, **options: Any) -> ProcessSimulationService:
        return ProcessSimulationService(
            slots, registry=self.registry, cache_root=self.folder / "bundles", **options
        )


def values(outcome: SimReturn) -> dict[str, Any]:
    """Return the one row of the table `output` of a simulation that completed."""
    assert outcome.status is SimStatus.COMPLETED, outcome.failure
    (row,) = from_ipc(outcome.tables["output"]).to_pylist()
    return dict(row)


def failed(outcome: SimReturn) -> tuple[FailureReason, str, str]:
    """Return the reason, the message and the details of a simulation that failed."""
    assert outcome.status is SimStatus.FAILED
    assert outcome.failure is not None
    return outcome.failure.reason, outcome.failure.message, outcome.failure.details
