"""Logins that programs know, and a real registry that asks for a password or for tokens."""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from conftest import processes_below
from integration.machine import eventually
from integration.registry_process import BINARY_VARIABLE, running_registry
from modelops.bundles import docker_config
from modelops.bundles.access import RegistryAccess
from modelops.bundles.azure_login import cli_login
from modelops.bundles.credentials import Credentials
from modelops.bundles.docker_config import find_login
from modelops.bundles.logins import Logins
from modelops.bundles.packing import pack
from modelops.bundles.programs import ProgramError, run_program
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.template import create_bundle
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError
from modelops.core.tools import cached_registry
from modelops.providers.local.plugin.issuing import Issued, issue_authority, issue_leaf
from web_server import Answer, Seen, json_answer, serving

pytestmark = pytest.mark.integration

HOST = "registry.example.org:5000"
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without logins, and programs of the test's own on PATH."""
    for name in list(os.environ):
        if name.startswith(("MODELOPS_BUNDLE", "AZURE_", "XDG_", "DOCKER_", "REGISTRY_AUTH")):
            monkeypatch.delenv(name)
    # The registry's program is below the HOME of whoever runs the tests.
    known = os.environ.get(BINARY_VARIABLE) or str(cached_registry())
    monkeypatch.setenv(BINARY_VARIABLE, known)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    (tmp_path / ".docker").mkdir()
    return tmp_path


def write_program(home: Path, name: str, script: str) -> None:
    path = home / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def write_config(home: Path, **config: Any) -> Path:
    path = home / ".docker" / "config.json"
    path.write_text(json.dumps(config))
    return path


ANSWERING = """\
[ "$#" = 1 ] && [ "$1" = get ] || exit 3
host=$(cat)
[ "$host" = "{host}" ] || {{ echo "credentials not found in native keychain"; exit 1; }}
echo '{{"ServerURL": "x", "Username": "{user}", "Secret": "planted-secret"}}'"""


def test_a_helper_knows_a_login(home: Path) -> None:
    write_program(home, "docker-credential-store", ANSWERING.format(host=HOST, user="me"))
    found = Credentials("docker-credential-store", "me", "planted-secret")
    path = write_config(home, auths={HOST: {}}, credsStore="store")
    assert find_login(HOST, path) == found
    assert find_login("ghcr.io", path) is None
    # The host's own helper goes first, and its answer is the last word.
    own = {f"https://{HOST}": "store", "ghcr.io": "store"}
    entry = {"auth": base64.b64encode(b"you:other").decode()}
    auths = {HOST: entry, "ghcr.io": entry}
    path = write_config(home, auths=auths, credHelpers=own, credsStore="nowhere")
    assert find_login(HOST, path) == found
    assert find_login("ghcr.io", path) is None


def test_a_helper_is_asked_by_the_name_that_docker_gave_the_host(home: Path) -> None:
    named = f"https://{HOST}/v1/"
    write_program(home, "docker-credential-store", ANSWERING.format(host=named, user="<token>"))
    path = write_config(home, auths={named: {}}, credsStore="store")
    found = find_login(HOST, path)
    assert found == Credentials("docker-credential-store", identity_token="planted-secret")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, "there is no such program on PATH"),
        ("cat; echo planted-secret; echo planted-secret >&2; exit 7", "it ended with status 7"),
        ("echo planted-secret", "something else than a login"),
        ("""echo '{"Username": "planted-secret"}'""", "something else than a login"),
        ("""echo '["planted-secret"]'""", "something else than a login"),
        ("""echo '{"Username": 1, "Secret": ["planted-secret"]}'""", "something else than a login"),
        ("exec <&-", "something else than a login"),
        ("echo planted-secret; sleep 600 & wait", "it didn't end in 0.3 s"),
        ("exec >&- 2>&-; sleep 600", "it didn't end in 0.3 s"),
        ("exec yes planted-secret", "it wrote more than 1048576 bytes"),
    ],
)
def test_a_helper_that_is_no_help_is_named(home: Path, script: str | None, why: str) -> None:
    if script is not None:
        write_program(home, "docker-credential-odd", f"cd {home}\n{script}")
    path = write_config(home, credsStore="odd")
    seconds = 0.3 if "didn't end" in why else docker_config.HELPER_SECONDS
    with pytest.raises(BundleError, match=why) as caught:
        find_login(HOST, path, seconds)
    said = f"{caught.value} {caught.value!r}"
    assert "docker-credential-odd" in said
    assert str(path) in said
    assert "planted" not in said
    if script is not None and "sleep" in script:
        # A killed process is gone once the system has got to it.
        eventually(lambda: processes_below(home) == [])


def test_a_program_that_can_not_be_run_is_an_error(home: Path) -> None:
    (home / "bin" / "odd").write_text("#!/nowhere/sh\n")
    (home / "bin" / "odd").chmod(0o755)
    with pytest.raises(ProgramError, match="can't be run: No such file"):
        run_program(["odd"], b"", 10)


AZ = """\
[ "$*" = "acr login --name mine --expose-token --output json" ] || exit 3
echo "WARNING: You can perform manual login using the provided refresh token below" >&2
echo '{"loginServer": "mine.azurecr.io", SAID}'"""
OLD = '"accessToken": "planted-refresh"'
NEW = f'"username": "{NOBODY}", "accessToken": "planted-refresh", "refreshToken": "planted-refresh"'


@pytest.mark.parametrize("said", [OLD, NEW])
@pytest.mark.parametrize("host", ["mine.azurecr.io", "MINE.azurecr.io:443", "mine-x1.azurecr.cn"])
def test_the_azure_cli_knows_a_login(home: Path, said: str, host: str) -> None:
    write_program(home, "az", AZ.replace("SAID", said))
    assert cli_login(host) == Credentials("az acr login", identity_token="planted-refresh")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('echo "WARNING: x" >&2; echo "ERROR: Please run \'az login\'." >&2; exit 1', "Please run"),
        ("echo planted-secret; exit 2", "status 2"),
        ("echo planted-secret", "something else than a token"),
        ("""echo '{"accessToken": null}'""", "something else than a token"),
        ("""echo '["planted-secret"]'""", "something else than a token"),
        ("cd $HOME; sleep 600 & wait", "it didn't end in 0.3 s"),
    ],
)
def test_why_the_azure_cli_knows_none(home: Path, script: str, why: str) -> None:
    write_program(home, "az", script)
    seconds = 0.3 if "didn't end" in why else 60.0
    with pytest.raises(BundleError, match=why) as caught:
        cli_login("mine.azurecr.io", seconds)
    assert "az acr login --name mine" in caught.value.message
    assert "planted" not in str(caught.value)
    if "sleep" in script:
        eventually(lambda: processes_below(home) == [])


def test_a_registry_of_azure_is_nobodys_without_the_azure_cli(home: Path) -> None:
    write_program(home, "az", 'echo "ERROR: Please run az login." >&2; exit 1')
    logins = Logins("mine.azurecr.io", RegistryAccess("mine.azurecr.io"), {"HOME": str(home)})
    unused: Any = None
    assert logins.find(unused, unused) is None
    assert "Please run az login." in logins.note


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    create_bundle(tmp_path / "sir", "sir")
    return tmp_path / "sir"


@pytest.fixture
def leaf(tmp_path: Path) -> Issued:
    """A certificate for 127.0.0.1, its key and its CA in files."""
    authority = issue_authority("a test's CA", 10)
    issued = issue_leaf("127.0.0.1", ["127.0.0.1"], 1, authority)
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "server.crt").write_bytes(issued.certificate)
    (tmp_path / "server.key").write_bytes(issued.key)
    return issued


def test_a_real_registry_with_a_password_and_tls(home: Path, leaf: Issued, bundle: Path) -> None:
    del leaf
    entry = bcrypt.hashpw(b"planted-secret", bcrypt.gensalt(4)).decode()
    (home / "htpasswd").write_text(f"me:{entry}\n")
    (home / "registry").mkdir()
    tls = {"certificate": str(home / "server.crt"), "key": str(home / "server.key")}
    users = {"htpasswd": {"realm": "test", "path": str(home / "htpasswd")}}
    with running_registry(home / "registry", auth=users, tls=tls) as registry:
        store = RegistryStore(
            registry.host, RegistryAccess(registry.host, ca_file=str(home / "ca.crt"))
        )
        with pytest.raises(BundleError, match="asks for a password, and no login was found"):
            store.list_repositories()
        script = ANSWERING.format(host=registry.host, user="me")
        write_program(home, "docker-credential-store", script)
        write_config(home, credsStore="store")
        packed = pack(bundle)
        assert store.push("sir", packed) == BundleRef("sir", packed.digest)
        assert store.read_manifest(BundleRef("sir", packed.digest)) == packed.manifest
        script = script.replace("planted-secret", "planted-wrong")
        write_program(home, "docker-credential-store", script)
        other = RegistryStore(
            registry.host, RegistryAccess(registry.host, ca_file=str(home / "ca.crt"))
        )
        with pytest.raises(BundleError, match="to user 'me' of docker-credential-store"):
            other.list_repositories()


class Signer:
    """A token server whose tokens the real registry checks (Docker's token specification)."""

    def __init__(self, leaf: Issued) -> None:
        certificate = x509.load_pem_x509_certificate(leaf.certificate)
        self._chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER))]
        key = serialization.load_pem_private_key(leaf.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self.asked: list[str] = []

    def answer(self, seen: Seen) -> Answer:
        assert seen.query["service"] == ["the registry"]
        allowed = {"pull", "push", "*"} if seen.authorization else {"pull"}
        access = []
        for scope in seen.query["scope"]:
            kind, name, actions = scope.split(":")
            granted = [action for action in actions.split(",") if action in allowed]
            access.append({"type": kind, "name": name, "actions": granted})
            self.asked.append(scope)
        return json_answer({"token": self._token(access), "expires_in": 300})

    def _token(self, access: list[dict[str, Any]]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "ES256", "x5c": [der.decode() for der in self._chain]}
        claims = {"iss": "a test", "sub": "me", "aud": "the registry", "exp": now + 300}
        claims |= {"nbf": now - 60, "iat": now, "jti": uuid.uuid4().hex, "access": access}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        numbers = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in numbers)
        return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def test_a_real_registry_with_tokens(home: Path, leaf: Issued, bundle: Path) -> None:
    signer = Signer(leaf)
    (home / "registry").mkdir()
    with ExitStack() as running:
        server = running.enter_context(serving(signer.answer))
        told = {"realm": f"{server.url}/token", "service": "the registry", "issuer": "a test"}
        auth = {"token": {**told, "rootcertbundle": str(home / "ca.crt")}}
        registry = running.enter_context(running_registry(home / "registry", auth=auth))
        packed = pack(bundle)
        ref = BundleRef("team/sir", packed.digest)
        with pytest.raises(BundleError, match="401 Unauthorized, and no login was found"):
            RegistryStore(registry.host).push("team/sir", packed)
        write_config(home, auths={registry.host: {"username": "me", "password": "x"}})
        signer.asked.clear()
        assert RegistryStore(registry.host).push("team/sir", packed) == ref
        assert sorted(signer.asked) == ["repository:team/sir:pull", "repository:team/sir:pull,push"]
        write_config(home)
        assert RegistryStore(registry.host).read_manifest(ref) == packed.manifest
