"""The identity of a workload at an Azure registry; servers on loopback play both parts."""

import json
import logging
import socket
import ssl
import traceback

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.artifact import digest_of
from modelops.bundles.azure_login import registry_name
from modelops.bundles.registry_store import RegistryStore
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError
from modelops.providers.local.plugin.issuing import issue_authority, issue_leaf
from web_server import json_answer, serving

MANIFEST = b"anything"
REF = BundleRef("sir", digest_of(MANIFEST))
CLIENT, TENANT = "11111111-client", "22222222-tenant"
FEDERATED, KNOWN, REFRESH = "planted.federated.token", "planted.aad.token", "planted.refresh.token"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("mine.azurecr.io", "mine"),
        ("MINE.azurecr.io:443", "mine"),
        ("mine.azurecr.cn", "mine"),
        ("mine.azurecr.us", "mine"),
        ("mine-a1b2.azurecr.io", "mine"),
        ("azurecr.io", None),
        ("mine.azurecr.io.example.org", None),
        ("mine.azurecr.de", None),
        ("mine.example.azurecr.io", None),
        ("mineazurecr.io", None),
        ("--query.azurecr.io", None),
        ("ghcr.io", None),
    ],
)
def test_hosts_of_azure(host, name):
    assert registry_name(host) == name


class Azure:
    """Both servers: who knows identities, and the registry. They take what Microsoft's docs say."""

    def __init__(self, service, audience):
        self.service = service
        self.audience = audience
        self.refusal = None
        self.realm = ""

    def identities(self, seen):
        if self.refusal is not None:
            return self.refusal
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "scope": f"https://containerregistry.azure.{self.audience}/.default",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": FEDERATED,
        }
        assert (seen.method, seen.target) == ("POST", f"/{TENANT}/oauth2/v2.0/token")
        assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert seen.form == form
        return json_answer({"token_type": "Bearer", "expires_in": 3599, "access_token": KNOWN})

    def registry(self, seen):
        if seen.path == "/oauth2/exchange":
            given = {"grant_type": "access_token", "service": self.service, "tenant": TENANT}
            assert seen.form == {**given, "access_token": KNOWN}
            return json_answer({"refresh_token": REFRESH})
        scope = "repository:sir:pull"
        if seen.path == "/oauth2/token":
            if seen.method == "GET":
                return json_answer({"errors": [{"code": "UNAUTHORIZED"}]}, 401)
            given = {"grant_type": "refresh_token", "service": self.service, "scope": scope}
            assert seen.form == {**given, "client_id": "modelops", "refresh_token": REFRESH}
            return json_answer({"access_token": "planted.access.token"})
        if seen.authorization != "Bearer planted.access.token":
            challenge = f'Bearer realm="{self.realm}",service="{self.service}",scope="{scope}"'
            return 401, {"WWW-Authenticate": challenge}, b""
        return 200, {}, MANIFEST


@pytest.fixture(params=["io", "cn", "us"])
def azure(request, no_logins, tmp_path, monkeypatch):
    """Both servers, the registry's at mine.azurecr.…, which is loopback here; and its access."""
    audience = "net" if request.param == "io" else request.param
    service = f"mine.azurecr.{request.param}"
    authority = issue_authority("a test's CA", 10)
    leaf = issue_leaf(service, [service], 1, authority)
    ca, pem, token = (tmp_path / name for name in ("ca.crt", "server.pem", "token"))
    ca.write_bytes(authority.certificate)
    pem.write_bytes(leaf.certificate + leaf.key)
    token.write_text(f"{FEDERATED}\n")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    resolve = socket.getaddrinfo

    def of_loopback(host, *args, **kwargs):
        assert host in (service, "127.0.0.1"), f"nobody may look up {host}"
        return resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", of_loopback)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    parts = Azure(service, audience)
    leaf = issue_leaf("login", ["127.0.0.1"], 1, authority)
    pem.write_bytes(leaf.certificate + leaf.key)
    login_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    login_tls.load_cert_chain(pem)
    with serving(parts.registry, tls) as registry, serving(parts.identities, login_tls) as login:
        parts.host = f"{service}:{registry.server_port}"
        parts.realm = f"https://{parts.host}/oauth2/token"
        parts.token, parts.servers = token, (registry, login)
        parts.store = RegistryStore(parts.host, RegistryAccess(parts.host, ca_file=str(ca)))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{login.url}/")
        yield parts


def test_a_workload_gets_its_token_at_the_registry(azure):
    assert azure.store.read_manifest(REF) == MANIFEST
    assert [seen.path for seen in azure.servers[0].seen] == [
        f"/v2/sir/manifests/{REF.digest}",
        "/oauth2/exchange",
        "/oauth2/token",
        f"/v2/sir/manifests/{REF.digest}",
    ]


@pytest.mark.parametrize("azure", ["io"], indirect=True)
class TestOneCloud:
    def test_what_the_token_file_holds_now_is_used(self, azure):
        azure.token.write_text("planted.out.of.date")
        azure.refusal = json_answer({"error": "invalid_client"}, 401)
        with pytest.raises(BundleError, match=r"answered 401 Unauthorized: invalid_client\."):
            azure.store.read_manifest(REF)
        azure.token.write_text(FEDERATED)
        azure.refusal = None
        assert azure.store.read_manifest(REF) == MANIFEST

    def test_a_login_of_docker_goes_first(self, azure, no_logins):
        (no_logins / ".docker").mkdir()
        login = {"auths": {azure.host: {"identitytoken": REFRESH}}}
        (no_logins / ".docker" / "config.json").write_text(json.dumps(login))
        assert azure.store.read_manifest(REF) == MANIFEST
        assert azure.servers[1].seen == []

    def test_nobody_is_without_all_of_an_identity(self, azure, monkeypatch):
        monkeypatch.delenv("AZURE_TENANT_ID")
        with pytest.raises(BundleError, match="no login was found") as caught:
            azure.store.read_manifest(REF)
        assert "there is no such program on PATH" in caught.value.message
        assert "az acr login --name mine" in caught.value.hint
        assert azure.servers[1].seen == []

    @pytest.mark.parametrize(
        ("content", "why"),
        [(None, "No such file"), (b"", "is empty"), (b"\xff\xfe", "it isn't a token")],
    )
    def test_a_token_file_that_is_none(self, azure, content, why):
        azure.token.unlink() if content is None else azure.token.write_bytes(content)
        with pytest.raises(BundleError, match=why) as caught:
            azure.store.read_manifest(REF)
        assert str(azure.token) in caught.value.message

    def test_an_identity_goes_nowhere_in_the_clear(self, azure, monkeypatch):
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://login.example.org")
        with pytest.raises(BundleError, match="which is plain HTTP"):
            azure.store.read_manifest(REF)

    def test_no_token_is_in_a_message_or_a_log(self, azure, caplog):
        caplog.set_level(logging.DEBUG)
        said = f"{FEDERATED} {KNOWN} is wrong"
        azure.refusal = json_answer({"error": "invalid_client", "error_description": said}, 400)
        with pytest.raises(BundleError, match="invalid_client") as caught:
            azure.store.read_manifest(REF)
        assert FEDERATED not in "".join([*traceback.format_exception(caught.value), caplog.text])
        assert CLIENT in str(caught.value)
