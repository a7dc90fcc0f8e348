"""Where an environment's registry and Dask cluster are, for commands that only talk to them."""

import os
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from types import TracebackType
from typing import Self

from modelops.bundles.access import RegistryAccess
from modelops.cli.bundle_place import DEFAULT_ENV
from modelops.cli.options import Options
from modelops.cli.registry_place import noted_provider, registry_from, registry_of
from modelops.cli.spec_file import compile_plan
from modelops.contracts import BindingOutputs
from modelops.core.errors import BundleError, NotThereError, ServiceError
from modelops.core.naming import StackNaming
from modelops.core.settings import Home
from modelops.providers.base import (
    DASK_BINDINGS,
    REGISTRY_BINDINGS,
    Component,
    ProviderPlan,
    ProviderPlugin,
)
from modelops.providers.discovery import find_provider
from modelops.services.cluster_place import ClusterPlace
from modelops.services.dask_settings import tls_files
from modelops.spec.plan import CompiledPlan


class EnvironmentPlaces:
    """The places of the environment that the options name; a spec isn't needed.

    What it gives can be used until its block ends.

    Attributes:
        plan: what the spec compiles to; None if there is no spec.
        env: the environment's name.
    """

    def __init__(self, options: Options) -> None:
        """Read the spec, if there is one.

        Raises:
            SpecError: with every error of the file.
        """
        has_spec = options.config.exists()
        self.plan: CompiledPlan | None = (
            compile_plan(options, check_bundles=False) if has_spec else None
        )
        self.env = options.env or DEFAULT_ENV if self.plan is None else self.plan.env
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._held.close()

    @cached_property
    def bindings(self) -> BindingOutputs:
        """What the workspace's stack hands on.

        Raises:
            NotThereError: if it isn't up.
        """
        from modelops.infra.stack import PulumiStack

        naming = StackNaming(self.env)
        return PulumiStack(naming, Home.current(), Component.WORKSPACE).bindings()

    def registry(self) -> RegistryAccess:
        """Return the registry that the workers fetch from; without workers, the environment's.

        Raises:
            BundleError: if the environment has none.
            ProviderError: if it can't be reached.
        """
        try:
            bindings = self.bindings
        except NotThereError:
            try:
                return self._held.enter_context(registry_of(self.env))
            except BundleError as error:
                hint = f"Bring it up with: mops up --env {self.env}"
                raise BundleError(error.message, hint=hint) from None
        return registry_from(self._reach(bindings, REGISTRY_BINDINGS))

    def cluster(self) -> ClusterPlace:
        """Return the environment's Dask cluster.

        Raises:
            NotThereError: if the workspace isn't up.
            ServiceError: if it has no scheduler.
            ProviderError: if it can't be reached.
        """
        bindings = self._reach(self.bindings, DASK_BINDINGS)
        address = bindings.env.get("DASK_SCHEDULER")
        if address is None:
            raise ServiceError(
                f"The workspace of {self.env} hands on no DASK_SCHEDULER.",
                hint="See what it does hand on: mops workspace outputs",
            )
        return ClusterPlace(address, bindings.env)

    def cluster_at(self, address: str) -> ClusterPlace:
        """Return the cluster of a scheduler, with certificates where it takes them.

        Those that the variables DASK_DISTRIBUTED__… name go first, then the environment's.

        Raises:
            NotThereError: if neither is there.
        """
        if tls_files(os.environ) or not address.startswith("tls://"):
            return ClusterPlace(address, os.environ)
        return ClusterPlace(address, self._reach(self.bindings, DASK_BINDINGS).env)

    def _reach(self, bindings: BindingOutputs, *beginnings: str) -> BindingOutputs:
        provider, plan = self._provider
        reached: AbstractContextManager[BindingOutputs] = provider.reach(
            plan, bindings.only(*beginnings)
        )
        return self._held.enter_context(reached)

    @cached_property
    def _provider(self) -> tuple[ProviderPlugin, ProviderPlan]:
        if self.plan is not None:
            provider = find_provider(self.plan.provider.name)
            return provider, provider.compile(self.plan)
        # Everything else is as reachable as from this machine's own provider.
        return noted_provider(self.env) or (find_provider("local"), _no_plan(self.env))


def _no_plan(env: str) -> ProviderPlan:
    return ProviderPlan("local", env, ())
