"""The Dask service on a cluster that runs already: `--dask-address`, or DASK_ADDRESS."""

from pathlib import Path

import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef
from modelops.services.dask_simulation import DaskSimulationService
from modelops.worker.outputs import from_ipc

pytestmark = [pytest.mark.external, pytest.mark.integration]
__all__ = ["oci_registry_fixture"]

MODEL = """\
def simulate(params, seed):
    return {"x": params["a"] * seed}
"""


def test_a_cluster_that_runs_already_fetches_and_runs_a_bundle(
    request: pytest.FixtureRequest, oci_registry: RegistryProcess, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.py").write_text(MODEL)
    (bundle / "manifest.json").write_text(
        '{"name": "external", "version": "1", "entrypoint": "model:simulate"}'
    )
    pushed = open_store(f"oci://{oci_registry.host}").push("external", pack(bundle))
    # The workers know nothing of this test's registry: the reference says where it is.
    ref = BundleRef(pushed.repository, pushed.digest, oci_registry.host)
    with DaskSimulationService(request.config.getoption("--dask-address")) as service:
        futures = [
            service.submit("model:simulate", {"a": 3}, seed, bundle_ref=ref) for seed in range(20)
        ]
        outcomes = service.gather(futures)
    tables = [from_ipc(outcome.tables["output"]) for outcome in outcomes]
    assert [table["x"].to_pylist() for table in tables] == [[3 * seed] for seed in range(20)]
