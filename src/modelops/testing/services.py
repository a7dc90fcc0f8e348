"""The contract of simulation services, as tests.

from modelops.testing.services import SimulationServiceSuite, write_bundle

class TestMyService(SimulationServiceSuite):
    @pytest.fixture(scope="session")
    def bundle_ref(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("bundle")
        write_bundle(folder)
        return my_registry.push(folder)

    @pytest.fixture
    def make_service(self):
        def make(*, task_timeout=None, slots=2, max_in_flight=None):
            return MyService(slots, task_timeout=task_timeout)

        return make
"""

from modelops.testing.service_alignment import AlignmentChecks
from modelops.testing.service_bundle import write_bundle
from modelops.testing.service_control import ControlChecks
from modelops.testing.service_futures import FutureChecks
from modelops.testing.service_outcomes import OutcomeChecks
from modelops.testing.service_suite import SLOTS, ServiceFactory

__all__ = ["SLOTS", "ServiceFactory", "SimulationServiceSuite", "write_bundle"]


class SimulationServiceSuite(OutcomeChecks, FutureChecks, ControlChecks, AlignmentChecks):
    """Checks the guarantees of `SimulationService` by its behaviour alone.

    A subclass gives two fixtures, of whatever scope: `bundle_ref`, the reference of the bundle that
    `write_bundle` writes, pushed where the service finds it; and `make_service`, a
    `ServiceFactory`. Simulations and tests tell each other things by files in pytest's temporary
    folder, so both have to see it.

    A service that runs simulations in its own process sets `isolates = False`: a model that ends
    the process would end the tests, what it writes straight to a descriptor can't be told from what
    others write, and the modules of two bundles are in each other's way. Those tests are skipped.

    What `AlignsOutputs` guarantees is checked of a service that has its method.

    Each test may take 50 seconds, kept by waiting no longer than that for a result.
    """
