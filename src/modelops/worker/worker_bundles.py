"""The bundles that a worker uses: fetched once, verified, and signed as is demanded."""

import threading
from pathlib import Path

from modelops.bundles.access import REGISTRY_VARIABLE, RegistryAccess
from modelops.bundles.cache import BundleCache
from modelops.bundles.entry import OpenBundle, hold
from modelops.bundles.stores import BundleStore, store_of
from modelops.contracts import BundleRef, PublicKey
from modelops.core.errors import ServiceError
from modelops.worker.worker_metrics import NO_METRICS, WorkerMetrics


class WorkerBundles:
    """The bundles of one worker; used by all of its threads."""

    def __init__(
        self,
        cache_root: Path,
        registry: RegistryAccess | None,
        metrics: WorkerMetrics = NO_METRICS,
    ) -> None:
        """Make it; nothing is fetched yet.

        Args:
            cache_root: where unpacked bundles lie, shared with other workers of the machine.
            registry: the registry of bundles whose reference names no host.
            metrics: told of each bundle that is opened.
        """
        self._metrics = metrics
        self._cache = BundleCache(cache_root)
        self._registry = registry
        self._fetching = threading.Lock()
        self._folders: dict[str, Path] = {}
        self._signed: set[tuple[str, PublicKey]] = set()

    def open(self, ref: BundleRef, public_key: PublicKey | None = None) -> OpenBundle:
        """Open a bundle for a while; what runs its code holds it for longer.

        Raises:
            BundleError: if it isn't there, was altered, or isn't signed with the key.
        """
        with self._fetching:
            if public_key is not None:
                self._check_signature(ref, public_key)
            folder = self._folders.get(ref.digest)
            # It was looked at in full by this process before; the cache may have let it go since.
            bundle = hold(folder) if folder is not None else None
            if bundle is None:
                bundle = self._open(ref)
                self._folders[ref.digest] = bundle.folder
            else:
                self._metrics.opened_bundle(0)
            return bundle

    def _open(self, ref: BundleRef) -> OpenBundle:
        counting = threading.Lock()
        total = 0

        def count(size: int) -> None:
            nonlocal total
            with counting:
                total += size

        bundle = self._cache.open(ref, self._store(ref), count)
        self._metrics.opened_bundle(total)
        return bundle

    def _check_signature(self, ref: BundleRef, public_key: PublicKey) -> None:
        """Check a bundle's signature, once for each key, whether or not the bundle is here already.

        Raises:
            BundleError: if it isn't signed with the key.
        """
        if (ref.digest, public_key) in self._signed:
            return
        # Workers that are asked for no signature don't pay for the import.
        from modelops.bundles.signatures import verify_bundle  # noqa: PLC0415

        verify_bundle(self._store(ref), ref, public_key)
        self._signed.add((ref.digest, public_key))

    def _store(self, ref: BundleRef) -> BundleStore:
        if ref.is_in_own_registry and self._registry is None:
            raise ServiceError(
                f"The worker doesn't know from which registry to fetch {ref}.",
                hint=f"Start workers with {REGISTRY_VARIABLE} set to the registry's address.",
            )
        return store_of(ref, self._registry or "")
