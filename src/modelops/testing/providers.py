"""The contract of providers, as tests. The page docs/writing-a-provider.md goes with it.

from modelops.testing.providers import ProviderContract

class TestMyProvider(ProviderContract):
    name = "mine"

    def spec(self, folder):
        return {"provider": {"name": "mine", "region": "north"}}

    def refused(self):
        return {"sqlite": {"databases": {"journal": {"engine": "sqlite"}}}}

    def destroy(self, outputs):
        return my_cloud.delete(outputs["id"])

    def remains(self, folder, env):
        return my_cloud.everything_labelled(env)
"""

from modelops.testing.provider_plans import PlanChecks
from modelops.testing.provider_stacks import StackChecks

__all__ = ["ProviderContract"]


class ProviderContract(StackChecks, PlanChecks):
    """Checks the guarantees of `ProviderPlugin` by its behaviour alone.

    The first part compiles plans and takes seconds. The second brings environments up and takes
    them down on the real engine; each of its tests has a limit of its own (`ENGINE_SECONDS`), kept
    by the plugin pytest-timeout, and a MODELOPS_HOME of the class's own.
    """
