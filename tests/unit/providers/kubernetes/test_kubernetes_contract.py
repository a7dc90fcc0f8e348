"""The provider `kubernetes` keeps the part of the contract that needs no cluster."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelops.testing.provider_plans import PlanChecks


class TestKubernetes(PlanChecks):
    name = "kubernetes"

    def spec(self, folder: Path) -> Mapping[str, Any]:
        return {
            "provider": {"name": "kubernetes", "quota": {"pods": 20}, "cache": {"size": "1Gi"}},
            "databases": {"journal": {}, "second": {"size": "medium"}},
            "workerGroups": {"default": {"min": 1, "max": 3}, "other": {"min": 0, "max": 1}},
        }

    def refused(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            "sqlite": {"databases": {"journal": {"engine": "sqlite"}}},
            "acr": {"registry": {"class": "acr"}},
            "local-dir": {"objectStore": {"class": "local-dir"}},
            "processes": {"workerGroups": {"default": {"kind": "processes"}}},
            "spot": {"workerGroups": {"default": {"spot": True}}},
        }

    def destroy(self, outputs: Mapping[str, Any]) -> bool:
        return False

    def remains(self, folder: Path, env: str) -> Sequence[str]:
        # Nobody is asked here, so that nothing can be there.
        return []
