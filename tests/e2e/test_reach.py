"""Reaching what is in a real cluster from outside of it, as `mops` on a laptop does."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import stamina

from modelops.contracts import Address, BindingOutputs, SecretRef
from modelops.core.errors import ProviderError, SecretError
from modelops.core.settings import Home
from modelops.providers.kubernetes import names
from reached_namespace import PROVIDER, ReachedNamespace, reached_namespace
from testcluster import Access

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(180, func_only=True)]

STORE = BindingOutputs(env={"OBJECT_STORE_URL": names.OBJECTS_URL})
# Its own loopback only, as the real one does.
SERVE = (
    "echo here > /tmp/small; yes 0123456789 | head -c 20000000 > /tmp/large;"
    " exec httpd -f -p 127.0.0.1:8080 -h /tmp"
)
SERVES = "wget -q -O- http://127.0.0.1:8080/small"
LARGE = hashlib.sha256((b"0123456789\n" * 1818182)[:20_000_000]).hexdigest()


@pytest.fixture
def reached(
    cluster: Access, test_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReachedNamespace]:
    """An environment's namespace, from a home of the test's own, in the cluster's network."""
    monkeypatch.setenv("MODELOPS_HOME", str(tmp_path / "home"))
    with cluster.inside(), reached_namespace(cluster, test_image) as namespace:
        yield namespace


def test_a_port_takes_many_requests_and_nothing_is_left_of_it(reached: ReachedNamespace) -> None:
    reached.create()
    reached.deploy("objects-results", names.OBJECTS_ROLE, SERVE, ready=SERVES)
    plan = reached.plan()
    with PROVIDER.reach(plan, STORE):
        pass  # what a process loads once
    before = set(threading.enumerate())

    with PROVIDER.reach(plan, STORE) as bindings:
        url = bindings.env["OBJECT_STORE_URL"]
        with ThreadPoolExecutor(8) as threads:
            answers = list(
                threads.map(lambda _: httpx.get(f"{url}/small", timeout=60).text, range(200))
            )
        with httpx.Client(timeout=60) as client:
            kept = [client.get(f"{url}/small").text for _ in range(50)]
            large = client.get(f"{url}/large").content

    assert answers == ["here\n"] * 200
    assert kept == ["here\n"] * 50
    assert hashlib.sha256(large).hexdigest() == LARGE
    assert set(threading.enumerate()) == before
    assert list(Home.current().scratch.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/small")


def test_a_port_outlives_its_pods(reached: ReachedNamespace) -> None:
    reached.create()
    reached.deploy("objects-results", names.OBJECTS_ROLE, SERVE, ready=SERVES)

    with PROVIDER.reach(reached.plan(), STORE) as bindings:
        url = f"{bindings.env['OBJECT_STORE_URL']}/small"
        assert httpx.get(url, timeout=60).text == "here\n"
        reached.pods.kubectl("delete", "pods", "--all", "--wait=true")
        for attempt in stamina.retry_context(on=httpx.HTTPError, attempts=None, timeout=60):
            with attempt:
                assert httpx.get(url, timeout=60).text == "here\n"


def test_a_connection_that_is_held_when_the_block_ends_is_closed(reached: ReachedNamespace) -> None:
    reached.create()
    reached.deploy("objects-results", names.OBJECTS_ROLE, SERVE, ready=SERVES)

    with PROVIDER.reach(reached.plan(), STORE) as bindings:
        port = httpx.URL(bindings.env["OBJECT_STORE_URL"]).port or 0
        held = socket.create_connection(("127.0.0.1", port), timeout=20)
        held.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n")

    with held, suppress(ConnectionResetError):
        assert held.recv(100) == b""


def test_addresses_certificates_and_secrets_are_those_of_this_machine(
    reached: ReachedNamespace,
) -> None:
    reached.create()
    # They answer with what they are asked, as the services themselves aren't tried here.
    echo = "exec nc -ll -p {} -e cat"
    for name, role, port in (
        ("dask-scheduler", names.SCHEDULER_ROLE, 8786),
        ("registry", names.REGISTRY_ROLE, 5000),
        ("database-journal", names.DATABASE_ROLE, 5432),
    ):
        reached.deploy(name, role, echo.format(port))
        spec = {"selector": {names.NAME_LABEL: name}, "ports": [{"port": port}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        reached.pods.apply(service)
    at = f"{reached.name}.svc"
    url = f"postgresql://modelops:a.b.svc:1@database-journal.{at}:5432/modelops?sslmode=require"
    reached.pods.apply(
        reached.secret("database-journal", url=url),
        reached.secret("dask-tls", **{"ca.crt": "ca", "tls.crt": "crt", "tls.key": "key"}),
        reached.secret("registry-login", password="pass"),
    )
    bindings = BindingOutputs(
        env={
            "DASK_SCHEDULER": f"tls://dask-scheduler.{at}:8786",
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": "/etc/modelops/dask/tls.key",
            "MODELOPS_BUNDLE_REGISTRY": f"registry.{at}:5000",
            "MODELOPS_BUNDLE_REGISTRY_USERNAME": "modelops",
        },
        secrets={
            "DATABASE_URL_JOURNAL": SecretRef("k8s", "database-journal", "url"),
            "MODELOPS_BUNDLE_REGISTRY_PASSWORD": SecretRef("k8s", "registry-login", "password"),
        },
        addresses={"dask-scheduler": Address(f"dask-scheduler.{at}", 8786, "tls")},
    )

    with PROVIDER.reach(reached.plan(), bindings) as here:
        scheduler = httpx.URL(here.env["DASK_SCHEDULER"])
        assert (scheduler.scheme, scheduler.host) == ("tls", "127.0.0.1")
        assert str(here.addresses["dask-scheduler"]) == here.env["DASK_SCHEDULER"]
        assert here.env["MODELOPS_BUNDLE_REGISTRY_USERNAME"] == "modelops"
        key = Path(here.env["DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"])
        files = {name: Path(ref.name) for name, ref in here.secrets.items()}
        assert key.read_text() == "key"
        assert files["MODELOPS_BUNDLE_REGISTRY_PASSWORD"].read_text() == "pass"
        database = files["DATABASE_URL_JOURNAL"].read_text()
        start, port, end = database.partition("@127.0.0.1:")[0], *_port_and_rest(database)
        assert (start, end) == ("postgresql://modelops:a.b.svc:1", "/modelops?sslmode=require")
        for each in (key, *files.values()):
            assert each.stat().st_mode & 0o777 == 0o600
            assert each.parent.stat().st_mode & 0o777 == 0o700
        registry = int(here.env["MODELOPS_BUNDLE_REGISTRY"].removeprefix("127.0.0.1:"))
        for number in (scheduler.port or 0, registry, port):
            assert _echoed(number, b"hello") == b"hello"
    assert not key.exists()
    assert not any(path.exists() for path in files.values())


def test_what_is_not_there_is_named(reached: ReachedNamespace) -> None:
    reached.create()
    plan = reached.plan()
    absent = BindingOutputs(env={"DASK_SCHEDULER": f"tls://dask-scheduler.{reached.name}.svc:8786"})
    secret = SecretRef("k8s", names.USER_SECRETS, "journal-url")

    with pytest.raises(ProviderError, match=r"object store.*has no pod"):
        PROVIDER.reach(plan, STORE).__enter__()
    with pytest.raises(ProviderError, match="no Service dask-scheduler"):
        PROVIDER.reach(plan, absent).__enter__()
    with pytest.raises(SecretError, match="no key 'journal-url'") as caught:
        PROVIDER.reach(plan, BindingOutputs(secrets={"DATABASE_URL_X": secret})).__enter__()

    assert "mops secrets set journal-url" in str(caught.value)
    assert list(Home.current().scratch.iterdir()) == []


def _port_and_rest(url: str) -> tuple[int, str]:
    port, slash, rest = url.partition("@127.0.0.1:")[2].partition("/")
    return int(port), slash + rest


def _echoed(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        return connection.recv(100)
