"""The code of a run, opened on this machine, to be run in children as the runner does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelops.bundles.access import RegistryAccess
from modelops.bundles.cache import BundleCache
from modelops.bundles.discovery import resolve_model, resolve_targets
from modelops.bundles.stores import store_of
from modelops.contracts import RunPlan
from modelops.core.settings import Home
from modelops.environments import BundleEnvironment, EnvironmentCache
from modelops.worker.bundle_evaluator import BundleEvaluator


@dataclass(frozen=True)
class RunCode:
    """A run's bundle.

    Attributes:
        folder: where its files are, for as long as it's open.
        fn_ref: `module:function` of the run's model.
        targets: id → `module:function` of the run's targets.
        packages: what the bundle asks for, made ready.
    """

    folder: Path
    fn_ref: str
    targets: Mapping[str, str]
    packages: BundleEnvironment

    def evaluator(self) -> BundleEvaluator:
        """Return what evaluates trials as the run did; its user closes it."""
        return BundleEvaluator(self.folder, self.targets, self.packages)


@contextmanager
def open_code(plan: RunPlan, registry: RegistryAccess) -> Iterator[RunCode]:
    """Open the code of a run: from the cache, or fetched; checked against the key it's signed with.

    Raises:
        BundleError: if it can't be fetched, or what it asks for can't be installed.
        SignatureError: if the plan demands a signature that it hasn't.
    """
    home, store = Home.current(), store_of(plan.bundle_ref, registry)
    if plan.public_key is not None:
        # Runs that demand no signature don't pay for the import.
        from modelops.bundles.signatures import verify_bundle  # noqa: PLC0415

        verify_bundle(store, plan.bundle_ref, plan.public_key)
    with BundleCache(home.bundle_cache).open(plan.bundle_ref, store) as bundle:
        environments = EnvironmentCache(home.environments)
        yield RunCode(
            bundle.folder,
            resolve_model(bundle.folder, plan.model),
            resolve_targets(bundle.folder, plan.targets),
            environments.prepare(bundle.folder, plan.execution.environment),
        )
