"""What a worker tells of itself: its versions, its registry, and whether it can read there.

The question and the answer are messages of Dask, text only; nothing is unpickled for them, and no
task has to be run.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from distributed import Worker
from distributed.versions import get_versions

from modelops.bundles.access import REGISTRY_VARIABLE, RegistryAccess
from modelops.bundles.reach import why_unreachable
from modelops.bundles.stores import store_of
from modelops.contracts import BundleRef, ContractError
from modelops.core.errors import BundleError

OPERATION = "modelops_check"
"""The name of the question among those that a worker answers."""

PACKAGES = ("python", "dask", "distributed", "modelops")
"""Whose versions are told."""


def package_versions() -> dict[str, str]:
    """Return the versions of PACKAGES in this process."""
    return chosen_versions(get_versions(packages=["modelops"])["packages"])


def chosen_versions(packages: Mapping[str, Any]) -> dict[str, str]:
    """Return those of Dask's versions that count; `python` without what follows its number."""
    found = {name: str(packages.get(name) or "none") for name in PACKAGES}
    return found | {"python": ".".join(found["python"].split(".")[:3])}


def answer_checks(worker: Worker) -> None:
    """Make a worker answer the question OPERATION.

    It takes `ref`, the reference of a bundle to look for, or nothing to ask its registry only; and
    `seconds`, how long that may take. The answer has `versions`, `registry` (its URL) and
    `problem`, empty if all is well.
    """

    async def check(ref: str = "", seconds: float = 10.0) -> dict[str, Any]:
        registry = RegistryAccess.from_environment(os.environ)
        where = registry.url if registry else ""
        try:
            asked = asyncio.to_thread(find_problem, ref, registry)
            problem = await asyncio.wait_for(asked, seconds)
        except TimeoutError:
            problem = f"The bundle registry {where} doesn't answer within {seconds:g} s."
        return {"versions": package_versions(), "registry": where, "problem": problem}

    worker.handlers[OPERATION] = check


def find_problem(ref: str, registry: RegistryAccess | None) -> str:
    """Return why this process can't read a bundle, or its registry if `ref` is empty."""
    bundle = None
    try:
        bundle = BundleRef.parse(ref) if ref else None
    except ContractError as error:
        return str(error)
    if registry is None and (bundle is None or bundle.host is None):
        return f"It was started without {REGISTRY_VARIABLE}, so it knows no bundle registry."
    if bundle is None:
        return why_unreachable(registry) if registry else ""
    try:
        store_of(bundle, registry or "").read_manifest(bundle)
    except BundleError as error:
        return str(error)
    return ""
