"""Pushes to a real OCI registry: what is sent, what isn't, and what happens when it breaks."""

import os
import socket
import socketserver
import threading
from pathlib import Path

import oras.client
import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles import repository_uploads, upload
from modelops.bundles.cache import BundleCache
from modelops.bundles.packing import OWN_LAYER_BYTES, pack
from modelops.bundles.pushing import BundlePush
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.template import create_bundle
from modelops.core.errors import BundleChangedError

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture"]

LARGE = 4 * OWN_LAYER_BYTES


@pytest.fixture(autouse=True)
def _home(modelops_home):
    pass


@pytest.fixture(autouse=True)
def _streams_are_small(monkeypatch):
    # So that a file of some MiB is sent as one of a gigabyte is.
    monkeypatch.setattr(repository_uploads, "IN_MEMORY_BYTES", OWN_LAYER_BYTES)


@pytest.fixture
def bundle(tmp_path):
    create_bundle(tmp_path / "sir", "sir")
    for index in range(600):
        path = tmp_path / f"sir/data/part{index % 3}/{index}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(3000))
    (tmp_path / "sir/data/deep").mkdir()
    (tmp_path / "sir/data/deep/large.bin").write_bytes(os.urandom(LARGE))
    return tmp_path / "sir"


class Watch:
    """What was sent, in bytes."""

    def __init__(self):
        self.sent = 0
        self.lock = threading.Lock()

    def expect(self, size):
        pass

    def moved(self, size):
        with self.lock:
            self.sent += size


def sent_by(bundle, store, repository="sir"):
    watch = Watch()
    ref = BundlePush(bundle).to(store, repository, watch)
    assert ref.digest == pack(bundle).digest
    return watch.sent


def contents(root: Path):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_only_what_changed_is_sent(oci_registry: RegistryProcess, bundle, tmp_path):
    host = oci_registry.host
    assert sent_by(bundle, RegistryStore(host)) > LARGE + 1_800_000
    assert sent_by(bundle, RegistryStore(host)) == 0
    (bundle / "data/part1/100.csv").write_bytes(b"new")
    assert 0 < sent_by(bundle, RegistryStore(host)) < 2 * OWN_LAYER_BYTES
    (bundle / "data/part1/100.csv").unlink()
    store = RegistryStore(host)
    assert 0 < sent_by(bundle, store) < 2 * OWN_LAYER_BYTES
    tree = BundleCache(tmp_path / "cache").fetch(store.resolve("sir", "0.1.0"), store)
    assert contents(tree) == contents(bundle)


def test_other_clients_unpack_several_archives(oci_registry: RegistryProcess, bundle, tmp_path):
    packed = pack(bundle)
    assert len(packed.blobs) >= 4
    titles = [
        blob.descriptor.annotations.get("org.opencontainers.image.title") for blob in packed.blobs
    ]
    assert len(set(titles)) == len(titles)
    ref = RegistryStore(oci_registry.host).push("sir", packed)
    client = oras.client.OrasClient(insecure=True)
    client.pull(f"{oci_registry.host}/sir@{ref.digest}", outdir=str(tmp_path / "out"))
    assert contents(tmp_path / "out/sir") == contents(bundle)


def test_a_large_file_of_another_repository_is_not_sent(oci_registry: RegistryProcess, bundle):
    host = oci_registry.host
    sent_by(bundle, RegistryStore(host))
    assert sent_by(bundle, RegistryStore(host), "team/other") < LARGE
    # Another directory with the same file, of which nothing is known, doesn't send it either.
    copy = bundle.with_name("copy")
    bundle.rename(copy)
    assert sent_by(copy, RegistryStore(host), "team/third") < LARGE


def test_what_a_registry_no_longer_has_is_sent_instead_of_mounted(
    oci_registry: RegistryProcess, bundle
):
    host = oci_registry.host
    sent_by(bundle, RegistryStore(host))
    layers = oci_registry.data / "docker/registry/v2/repositories/sir/_layers"
    layers.rename(layers.with_name("gone"))
    assert sent_by(bundle, RegistryStore(host), "team/other") > LARGE


def test_a_file_that_changes_while_it_is_sent_is_refused(
    oci_registry: RegistryProcess, bundle, monkeypatch
):
    push = BundlePush(bundle)
    with (bundle / "data/deep/large.bin").open("ab") as file:
        file.write(b"x")
    store = RegistryStore(oci_registry.host)
    with pytest.raises(BundleChangedError, match=r"large\.bin was changed"):
        push.to(store, "sir")
    assert store.list_bundles("sir") == []
    sent_by(bundle, store)


class Breaking(socketserver.ThreadingTCPServer):
    """Hands on to a registry, and cuts each of the first connections after so many bytes."""

    daemon_threads = True

    def __init__(self, host: str, cuts: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        name, _, port = host.rpartition(":")
        self.behind = (name, int(port))
        self.cuts = cuts
        self.taken = 0


class _Relay(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.behind) as behind:
            back = threading.Thread(target=self._copy, args=(behind, self.request, None))
            back.start()
            self._copy(self.request, behind, self.server)
            # Half of what is under way is lost too: nobody gets another byte.
            for end in (self.request, behind):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            back.join()

    def _copy(self, source, target, counting):
        size = 0
        try:
            while data := source.recv(65_536):
                target.sendall(data)
                size += len(data)
                if counting is not None:
                    counting.taken += len(data)
                    if counting.cuts and size >= counting.cuts[0]:
                        counting.cuts.pop(0)
                        return
        except OSError:
            return


@pytest.mark.parametrize("is_new", [True, False])
def test_connections_that_break_are_taken_up_where_they_were(
    oci_registry: RegistryProcess, bundle, monkeypatch, is_new
):
    monkeypatch.setattr(upload, "SMALLEST_BODY", LARGE)
    if not is_new:
        other = bundle.with_name("other")
        create_bundle(other, "sir")
        sent_by(other, RegistryStore(oci_registry.host))
    cuts = [LARGE // 2, LARGE // 3]
    with Breaking(oci_registry.host, list(cuts)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            store = RegistryStore(f"127.0.0.1:{proxy.server_address[1]}")
            assert sent_by(bundle, store) > LARGE
        finally:
            proxy.shutdown()
            thread.join()
        assert proxy.cuts == []
        # A whole second sending would be more.
        assert proxy.taken < 1.5 * LARGE + 2_500_000
