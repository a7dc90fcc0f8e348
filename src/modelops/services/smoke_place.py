"""In which registry a smoke test's bundle is, and how its workers have to call it there."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from modelops.bundles.access import RegistryAccess
from modelops.bundles.stores import LAYOUT_SCHEME, REGISTRY_SCHEME
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError, ModelOpsError


@dataclass(frozen=True)
class BundlePlace:
    """A registry as we reach it.

    Attributes:
        access: how it's reached from here.
        host: the host that references have to name, since the registry isn't the environment's
            own; None if it is.
        path: what repositories begin with behind that host; may be empty.
    """

    access: RegistryAccess
    host: str | None = None
    path: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it's the registry that the environment's workers know."""
        return self.host is None

    def seen_by_workers(self, ref: BundleRef) -> BundleRef:
        """Return the reference by which workers find a bundle of this registry."""
        if self.host is None or ref.host is not None:
            return ref
        repository = f"{self.path}/{ref.repository}" if self.path else ref.repository
        return BundleRef(repository, ref.digest, self.host)


def find_place(own: Callable[[], RegistryAccess], elsewhere: str | None) -> BundlePlace:
    """Return where bundles are: in the environment's own registry, or in the one that is named.

    Raises:
        ModelOpsError: if the environment's own isn't known, and no other is named.
        BundleError: if a folder is named, which no reference can name.
    """
    if elsewhere is None:
        return BundlePlace(own())
    # An environment that has none is no reason not to try another.
    with suppress(ModelOpsError):
        access = own()
        if _bare(access.url) == _bare(elsewhere):
            return BundlePlace(access)
    if elsewhere.startswith(LAYOUT_SCHEME):
        raise BundleError(
            f"{elsewhere} isn't the registry that the environment's workers know, and they can't "
            "be told of another folder.",
            hint="Leave --registry out, or name a registry: oci://host",
        )
    host, _, path = _bare(elsewhere).partition("/")
    return BundlePlace(RegistryAccess(elsewhere), host, path)


def _bare(url: str) -> str:
    return url.removeprefix(REGISTRY_SCHEME).rstrip("/")
