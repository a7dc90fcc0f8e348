"""Which model a run simulates, where the run itself isn't carried out any more."""

from modelops.bundles.access import RegistryAccess
from modelops.bundles.cache import BundleCache
from modelops.bundles.discovery import resolve_model
from modelops.bundles.stores import store_of
from modelops.contracts import RunPlan
from modelops.core.settings import Home


def model_of(plan: RunPlan, registry: RegistryAccess) -> str:
    """Return `module:function` of a run's model, which follows from its bundle's digest.

    The bundle is taken from the cache or fetched. Its files are read; none of its code is run, so
    whether it's signed doesn't count here.

    Raises:
        ModelOpsError: if the bundle can't be fetched, or has no such model.
    """
    store = store_of(plan.bundle_ref, registry)
    with BundleCache(Home.current().bundle_cache).open(plan.bundle_ref, store) as bundle:
        return resolve_model(bundle.folder, plan.model)
