"""The Certificate resource, judged by a verifier and by TLS handshakes."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from modelops.core.errors import ProviderError
from modelops.providers.local.plugin import certificate, issuing

HOSTS = ["localhost", "127.0.0.1"]


def authority_inputs(folder: Path, days: int = 3650) -> dict[str, Any]:
    return {
        "directory": str(folder),
        "common_name": "ModelOps dev",
        "hosts": [],
        "issuer": "",
        "issuer_fingerprint": "",
        "days": days,
    }


def leaf_inputs(folder: Path, authority: dict[str, Any], days: int = 365) -> dict[str, Any]:
    return {
        "directory": str(folder),
        "common_name": "registry",
        "hosts": HOSTS,
        "issuer": authority["directory"],
        "issuer_fingerprint": authority["fingerprint"],
        "days": days,
    }


def make(inputs: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    assert certificate.problems(inputs) == {}
    return certificate.make("urn", "n", inputs, old or {})


@pytest.fixture
def authority(tmp_path: Path) -> dict[str, Any]:
    return make(authority_inputs(tmp_path / "ca"))


@pytest.fixture
def leaf(tmp_path: Path, authority: dict[str, Any]) -> dict[str, Any]:
    return make(leaf_inputs(tmp_path / "leaf", authority))


def load(state: dict[str, Any], name: str = "tls.crt") -> x509.Certificate:
    return x509.load_pem_x509_certificate((Path(state["directory"]) / name).read_bytes())


def handshake(server: dict[str, Any], client: dict[str, Any] | None, trusted: Path) -> str:
    """Return the protocol that a server and a client on loopback agree upon."""
    folder = Path(server["directory"])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    asking = ssl.create_default_context(cafile=str(trusted))
    if client is not None:
        serving.verify_mode = ssl.CERT_REQUIRED
        serving.load_verify_locations(folder / "ca.crt")
        own = Path(client["directory"])
        asking.load_cert_chain(own / "tls.crt", own / "tls.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with serving.wrap_socket(connection, server_side=True) as secure:
                        secure.sendall(b"x")
                except OSError:
                    return  # the client refused us, which it reports itself

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as connection,
                asking.wrap_socket(connection, server_hostname="127.0.0.1") as secure,
            ):
                assert secure.recv(1) == b"x"
                return str(secure.version())
        finally:
            thread.join()


def test_a_leaf_is_verified_for_its_hosts_and_no_other(
    authority: dict[str, Any], leaf: dict[str, Any]
) -> None:
    policy = PolicyBuilder().store(Store([load(leaf, "ca.crt")]))
    for subject in (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))):
        chain = policy.build_server_verifier(subject).verify(load(leaf), [])
        assert chain == [load(leaf), load(authority)]
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("example.org")).verify(load(leaf), [])
    verified = policy.build_client_verifier().verify(load(leaf), [])
    assert verified.chain[0] == load(leaf)


def test_servers_and_clients_shake_hands_with_it(
    tmp_path: Path, authority: dict[str, Any], leaf: dict[str, Any]
) -> None:
    trusted = Path(authority["directory"]) / "ca.crt"
    assert handshake(leaf, None, trusted) == "TLSv1.3"
    assert handshake(leaf, leaf, trusted) == "TLSv1.3"
    stranger = make(authority_inputs(tmp_path / "stranger"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(leaf, None, Path(stranger["directory"]) / "ca.crt")


def test_no_key_is_in_the_state_and_only_the_user_can_read_it(leaf: dict[str, Any]) -> None:
    folder = Path(leaf["directory"])
    assert (folder / "tls.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    body = (folder / "tls.key").read_text().splitlines()[1]
    assert body not in str(leaf)
    assert datetime.datetime.fromisoformat(leaf["not_after"]) == load(leaf).not_valid_after_utc


def damage_key(folder: Path) -> None:
    (folder / "tls.key").write_text("no key")


def lose_key(folder: Path) -> None:
    (folder / "tls.key").unlink()


def open_key(folder: Path) -> None:
    (folder / "tls.key").chmod(0o640)


def damage_certificate(folder: Path) -> None:
    (folder / "tls.crt").write_text("no certificate")


def swap_authority(folder: Path) -> None:
    other = issuing.issue_authority("another", 10)
    (folder / "ca.crt").write_bytes(other.certificate)


def swap_pair(folder: Path) -> None:
    other = issuing.issue_authority("another", 10)
    (folder / "tls.crt").write_bytes(other.certificate)
    (folder / "tls.key").write_bytes(other.key)


@pytest.mark.parametrize(
    "harm", [damage_key, lose_key, open_key, damage_certificate, swap_authority, swap_pair]
)
def test_what_isnt_whole_is_issued_anew(
    tmp_path: Path, authority: dict[str, Any], leaf: dict[str, Any], harm: Any
) -> None:
    inputs = leaf_inputs(tmp_path / "leaf", authority)
    assert certificate.changes(leaf, inputs) == []
    harm(tmp_path / "leaf")
    assert not certificate.refreshed(leaf)["exists"]
    assert certificate.changes(leaf, inputs) == ["exists"]
    again = make(inputs, leaf)
    assert again["fingerprint"] != leaf["fingerprint"]
    assert certificate.changes(again, inputs) == []


def test_a_new_authority_makes_its_leaves_new(
    tmp_path: Path, authority: dict[str, Any], leaf: dict[str, Any]
) -> None:
    new = make(authority_inputs(tmp_path / "ca"), authority)
    inputs = leaf_inputs(tmp_path / "leaf", new)
    assert certificate.changes(leaf, inputs) == ["issuer_fingerprint"]
    make(inputs, leaf)
    assert handshake(leaf, None, tmp_path / "ca" / "ca.crt") == "TLSv1.3"


@pytest.mark.parametrize(("passed", "renewed"), [(240, []), (250, ["not_after"])])
def test_it_is_renewed_when_a_third_is_left(
    tmp_path: Path,
    authority: dict[str, Any],
    leaf: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    passed: int,
    renewed: list[str],
) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=passed)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return later

    monkeypatch.setattr(issuing.datetime, "datetime", Later)
    assert certificate.changes(leaf, leaf_inputs(tmp_path / "leaf", authority)) == renewed


def test_a_leaf_ends_no_later_than_its_authority(tmp_path: Path) -> None:
    short = make(authority_inputs(tmp_path / "short", days=2))
    leaf = make(leaf_inputs(tmp_path / "leaf", short))
    assert leaf["not_after"] == short["not_after"]


def test_another_directory_leaves_nothing_in_the_old_one(
    tmp_path: Path, authority: dict[str, Any], leaf: dict[str, Any]
) -> None:
    moved = make(leaf_inputs(tmp_path / "moved", authority), leaf)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca", "moved"]
    certificate.remove(moved)
    certificate.remove(moved)
    assert [path.name for path in tmp_path.iterdir()] == ["ca"]


def test_a_leaf_without_an_authority_is_an_error(tmp_path: Path) -> None:
    nowhere = {"directory": str(tmp_path / "none"), "fingerprint": "00"}
    with pytest.raises(ProviderError, match="no CA in"):
        make(leaf_inputs(tmp_path / "leaf", nowhere))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"directory": "relative"}, {"directory"}),
        ({"common_name": ""}, {"common_name"}),
        ({"days": 0}, {"days"}),
        ({"hosts": []}, {"hosts"}),
        ({"issuer": ""}, {"hosts"}),
        ({"hosts": ["münchen"]}, {"hosts"}),
        ({"key": "x"}, {"key"}),
    ],
)
def test_wrong_inputs_are_named(change: dict[str, object], wrong: set[str]) -> None:
    inputs = leaf_inputs(Path("/leaf"), {"directory": "/ca", "fingerprint": "00"})
    assert certificate.problems({**inputs, **change}).keys() == wrong
