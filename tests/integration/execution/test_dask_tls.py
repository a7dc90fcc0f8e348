"""A Dask cluster that takes those alone who have a certificate of its CA."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
from distributed import Client
from distributed.security import Security

from integration.execution.conftest import Cluster
from modelops.contracts import SimStatus
from modelops.core.errors import ServiceError
from modelops.providers.local.plugin import certificate
from modelops.services.dask_settings import tls_env
from modelops.services.dask_simulation import DaskSimulationService

pytestmark = pytest.mark.integration

SECONDS = 50.0

MODEL = """
def simulate(params, seed):
    return {"x": params["a"] * seed}
"""


def issue(folder: Path, name: str) -> Path:
    """Make a CA and a certificate of it; return the folder of the latter."""
    days = 10
    authority = {
        "directory": str(folder / f"{name}-ca"),
        "common_name": name,
        "hosts": [],
        "issuer": "",
        "issuer_fingerprint": "",
        "days": days,
    }
    made = certificate.make("urn", name, authority, {})
    leaf = {
        **authority,
        "directory": str(folder / name),
        "hosts": ["127.0.0.1"],
        "issuer": authority["directory"],
        "issuer_fingerprint": made["fingerprint"],
    }
    certificate.make("urn", name, leaf, {})
    return folder / name


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture(scope="module")
def cluster(
    start_cluster: Callable[..., AbstractContextManager[Cluster]],
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Path,
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with start_cluster(folder, workers=1, certificates=certificates) as running:
        yield running


@contextmanager
def client_settings(folder: Path) -> Iterator[None]:
    """Give this process the settings that Dask otherwise reads when it's imported."""

    def flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in settings.items():
            if isinstance(value, Mapping):
                yield from flat(value, f"{path}{name}.")
            else:
                yield f"{path}{name}", value

    with dask.config.set(dict(flat(dask.config.collect_env(tls_env(str(folder), "client"))))):
        yield


def test_who_has_a_certificate_runs_simulations(cluster: Cluster, certificates: Path) -> None:
    assert cluster.address.startswith("tls://")
    ref = cluster.push(cluster.write_bundle(MODEL))
    with (
        client_settings(certificates),
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        futures = [
            service.submit("model:simulate", {"a": 2}, seed, bundle_ref=ref) for seed in range(5)
        ]
        outcomes = [future.result(SECONDS) for future in futures]
    assert [outcome.status for outcome in outcomes] == [SimStatus.COMPLETED] * 5


def test_who_has_none_is_told_what_to_do(cluster: Cluster) -> None:
    with pytest.raises(ServiceError) as caught:
        DaskSimulationService(cluster.address, connect_timeout=5)
    assert "mops workspace outputs" in caught.value.hint


def test_who_has_one_of_another_ca_is_told_what_to_do(cluster: Cluster, tmp_path: Path) -> None:
    with (
        client_settings(issue(tmp_path, "other")),
        pytest.raises(ServiceError, match="certificate verify failed") as caught,
    ):
        DaskSimulationService(cluster.address, connect_timeout=5)
    assert "mops workspace outputs" in caught.value.hint


def test_who_speaks_no_tls_is_told_what_to_do(cluster: Cluster) -> None:
    plain = cluster.address.replace("tls://", "tcp://")
    with pytest.raises(ServiceError) as caught:
        DaskSimulationService(plain, connect_timeout=5)
    assert "mops workspace outputs" in caught.value.hint


def test_a_file_that_is_missing_is_told(cluster: Cluster, tmp_path: Path) -> None:
    with (
        client_settings(tmp_path / "nowhere"),
        pytest.raises(ServiceError, match="No such file"),
    ):
        DaskSimulationService(cluster.address, connect_timeout=5)


class TrustsTheCluster(Security):  # type: ignore[misc]
    """Whoever knows the CA, which is no secret, and shows a certificate of another or none."""

    def __init__(self, ca: Path, shown: Path | None) -> None:
        super().__init__()
        self._context = ssl.create_default_context(cafile=str(ca / "ca.crt"))
        self._context.check_hostname = False
        if shown is not None:
            self._context.load_cert_chain(str(shown / "tls.crt"), str(shown / "tls.key"))

    def get_connection_args(self, role: str) -> dict[str, Any]:
        return {**super().get_connection_args(role), "ssl_context": self._context}


@pytest.mark.parametrize("has_another", [True, False])
def test_nobody_can_submit_without_a_certificate_of_the_cluster(
    cluster: Cluster, certificates: Path, tmp_path: Path, has_another: bool
) -> None:
    shown = issue(tmp_path, "other") if has_another else None
    security = TrustsTheCluster(certificates, shown)
    with pytest.raises(OSError, match="SSL"):
        Client(cluster.address, security=security, timeout=5, set_as_default=False)
    # It's for the certificate alone that it was refused.
    allowed = TrustsTheCluster(certificates, certificates)
    with Client(cluster.address, security=allowed, timeout=SECONDS, set_as_default=False) as client:
        assert client.submit(sum, [1, 2]).result(SECONDS) == 3


def test_the_schedulers_http_server_tells_nothing(cluster: Cluster) -> None:
    answers = set()
    for connection in psutil.Process(cluster.scheduler.pid).net_connections(kind="tcp"):
        port = connection.laddr.port
        if connection.status != psutil.CONN_LISTEN or cluster.address.endswith(f":{port}"):
            continue
        assert connection.laddr.ip == "127.0.0.1"
        for page in ("health", "info/main/workers.html", "json/index.html", "metrics"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=20) as got:
                    answers.add((page, got.status))
            except urllib.error.HTTPError as error:
                with error:
                    answers.add((page, error.code))
    assert {page for page, code in answers if code == 200} == {"health"}
    assert len(answers) == 4
