"""A registry that leads elsewhere: what goes there, and what doesn't."""

import json
import logging
import socket
import ssl
import traceback
from contextlib import ExitStack

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.artifact import Descriptor, digest_of
from modelops.bundles.packing import pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.transport import RegistryTransport
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError
from modelops.providers.local.plugin.issuing import issue_authority, issue_leaf
from web_server import json_answer, serving

MANIFEST = b"anything"
REF = BundleRef("sir", digest_of(MANIFEST))
CHALLENGE = {"WWW-Authenticate": 'Basic realm="x"'}

pytestmark = pytest.mark.usefixtures("no_logins")


@pytest.fixture
def start():
    """Start servers that end with the test."""
    with ExitStack() as running:
        yield lambda answer, tls=None: running.enter_context(serving(answer, tls))


@pytest.fixture
def log_in(no_logins):
    def log_in(host):
        folder = no_logins / ".docker"
        folder.mkdir(exist_ok=True)
        auths = {host: {"username": "me", "password": "planted-password"}}
        (folder / "config.json").write_text(json.dumps({"auths": auths}))

    return log_in


@pytest.fixture
def tls(tmp_path):
    """Return a server's TLS for 127.0.0.1, and the file of the CA that signed it."""
    authority = issue_authority("a test's CA", 10)
    leaf = issue_leaf("127.0.0.1", ["127.0.0.1", "registry.example.org"], 1, authority)
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "server.pem").write_bytes(leaf.certificate + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context, str(tmp_path / "ca.crt")


def redirecting(target, status=307, **headers):
    """Answer whoever says who it is with a redirect."""

    def answer(seen):
        if seen.authorization is None:
            return 401, CHALLENGE, b""
        return status, {"Location": target, "Set-Cookie": "planted=cookie; Path=/", **headers}, b""

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_elsewhere_is_fetched_without_saying_who_we_are(start, log_in, tmp_path, status):
    storage = start(lambda seen: (200, {}, MANIFEST))
    server = start(redirecting(f"{storage.url}/blob?sig=planted", status))
    log_in(server.host)
    descriptor = Descriptor(media_type="x", digest=REF.digest, size=len(MANIFEST))
    RegistryStore(server.host).fetch_blob(REF, descriptor, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == MANIFEST
    assert "Authorization" in server.seen[1].headers
    (seen,) = storage.seen
    assert seen.target == "/blob?sig=planted"
    assert {"Authorization", "Cookie", "Proxy-Authorization"}.isdisjoint(seen.headers)


def test_another_port_of_the_host_and_back_again(start, log_in):
    storage = start(lambda seen: (302, {"Location": f"{server.url}/v2/other"}, b""))
    first = redirecting(f"{storage.url}/blob")
    server = start(lambda seen: (200, {}, b"x") if seen.path == "/v2/other" else first(seen))
    log_in(server.host)
    assert RegistryTransport(server.host).request("GET", "/v2/a/blobs/x").content == b"x"
    assert storage.seen[0].authorization is None
    # It's the registry's own again.
    assert server.seen[-1].authorization is not None


def test_no_cookie_is_kept(start, log_in):
    server = start(redirecting("/v2/other", 302))
    log_in(server.host)
    with pytest.raises(BundleError, match="redirects without end"):
        RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
    assert not any("Cookie" in seen.headers for seen in server.seen)
    assert len(server.seen) == 1 + 6


def test_what_storage_asks_for_it_does_not_get(start, log_in):
    storage = start(lambda seen: (401, CHALLENGE, b"who?"))
    server = start(redirecting(f"{storage.url}/blob?sig=planted"))
    log_in(server.host)
    with pytest.raises(BundleError, match="led to answered 401 Unauthorized") as caught:
        RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
    assert "docker login" not in caught.value.hint
    (seen,) = storage.seen
    assert seen.authorization is None


def test_storage_can_not_have_the_registrys_login_sent_to_it(start, log_in):
    challenge = 'Bearer realm="{}/token",service="x",scope="y"'
    storage = start(
        lambda seen: (
            (401, {"WWW-Authenticate": challenge.format(storage.url)}, b"")
            if seen.path != "/token"
            else json_answer({"token": "x"})
        )
    )
    server = start(lambda seen: (302, {"Location": f"{storage.url}/blob"}, b""))
    log_in(server.host)
    with pytest.raises(BundleError, match="led to answered 401 Unauthorized"):
        RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
    assert [(seen.path, seen.authorization) for seen in storage.seen] == [("/blob", None)]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("http://storage.example.org/blob?sig=planted", "leads from .* to http://storage.example"),
        ("http://169.254.169.254/latest?sig=planted", "which is plain HTTP"),
        ("file:///etc/passwd?sig=planted", "isn't an absolute URL of HTTP"),
        ("ftp://127.0.0.1/?sig=planted", "isn't an absolute URL of HTTP"),
        ("//me:planted@127.0.0.1/", "holds a user or a password"),
        ("http://[planted/", "can't be used"),
    ],
)
def test_where_nothing_may_go(start, log_in, target, why):
    server = start(redirecting(target))
    log_in(server.host)
    with pytest.raises(BundleError, match=why) as caught:
        RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
    assert "planted" not in "".join(traceback.format_exception(caught.value))


def test_away_from_tls_only_if_that_is_asked_for(start, log_in, tls, monkeypatch):
    context, ca_file = tls
    storage = start(lambda seen: (200, {}, MANIFEST))
    server = start(redirecting(f"{storage.url}/blob"), context)
    log_in(server.host)
    access = RegistryAccess(server.host, ca_file=ca_file)
    for insecure in ("", "true"):
        # With a CA plain HTTP is never spoken.
        monkeypatch.setenv("MODELOPS_BUNDLE_INSECURE", insecure)
        with pytest.raises(BundleError, match=f"leads from {server.url} to {storage.url}"):
            RegistryTransport(server.host, access).request("GET", "/v2/a/blobs/x")
    assert storage.seen == []


def test_in_the_clear_over_a_network_if_that_is_asked_for(start, monkeypatch):
    monkeypatch.setenv("MODELOPS_BUNDLE_INSECURE", "true")
    monkeypatch.setenv("NO_PROXY", "*")
    storage = start(lambda seen: (200, {}, MANIFEST))
    port = storage.server_port
    server = start(lambda seen: (302, {"Location": f"http://storage.example.org:{port}/"}, b""))
    names = {"registry.example.org", "storage.example.org"}
    resolve = socket.getaddrinfo

    def of_loopback(host, *args, **kwargs):
        assert host in names
        return resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", of_loopback)
    transport = RegistryTransport(f"registry.example.org:{server.server_port}")
    assert transport.request("GET", "/v2/a/blobs/x").content == MANIFEST


def test_tls_to_storage_is_checked_too(start, log_in, tls):
    storage = start(lambda seen: (200, {}, MANIFEST), tls[0])
    server = start(redirecting(f"{storage.url}/blob?sig=planted"))
    log_in(server.host)
    with pytest.raises(BundleError, match="certificate verify failed") as caught:
        RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert storage.seen == []


def test_an_upload_goes_elsewhere_without_saying_who_we_are(start, log_in, make_bundle):
    packed = pack(make_bundle())
    storage = start(lambda seen: (201, {}, b""))

    def answer(seen):
        if seen.authorization is None:
            return 401, CHALLENGE, b""
        if seen.method == "POST":
            return 202, {"Location": f"{storage.url}/upload?sig=planted"}, b""
        return (404, {}, b"") if seen.method == "HEAD" else (201, {}, b"")

    server = start(answer)
    log_in(server.host)
    RegistryStore(server.host).push("sir", packed)
    assert [seen.authorization for seen in storage.seen] == [None] * len(packed.blobs)
    assert {seen.body for seen in storage.seen} == {
        b"".join(blob.chunks()) for blob in packed.blobs
    }
    assert all("Cookie" not in seen.headers for seen in storage.seen)


def test_an_upload_that_is_redirected_is_sent_on_whole(start, log_in, make_bundle):
    packed = pack(make_bundle())
    storage = start(lambda seen: (201, {}, b""))

    def answer(seen):
        if seen.authorization is None:
            return 401, CHALLENGE, b""
        if seen.method == "POST":
            return 202, {"Location": "/upload"}, b""
        if seen.path == "/upload":
            return 307, {"Location": f"{storage.url}/upload"}, b""
        return (404, {}, b"") if seen.method == "HEAD" else (201, {}, b"")

    server = start(answer)
    log_in(server.host)
    RegistryStore(server.host).push("sir", packed)
    assert [seen.authorization for seen in storage.seen] == [None] * len(packed.blobs)
    assert {seen.body for seen in storage.seen} == {b"".join(b.chunks()) for b in packed.blobs}


@pytest.mark.parametrize("status", [301, 302, 303])
def test_an_upload_is_not_turned_into_a_download(start, make_bundle, status):
    server = start(
        lambda seen: (404, {}, b"") if seen.method == "HEAD" else (status, {"Location": "/x"}, b"")
    )
    with pytest.raises(BundleError, match="moved an upload elsewhere"):
        RegistryStore(server.host).push("sir", pack(make_bundle()))
    assert {seen.method for seen in server.seen} == {"HEAD", "POST"}


def test_an_upload_does_not_leave_tls(start, tls, make_bundle):
    context, ca_file = tls
    storage = start(lambda seen: (201, {}, b""))

    def answer(seen):
        if seen.method == "HEAD":
            return 404, {}, b""
        return 202, {"Location": f"{storage.url}/upload"}, b""

    server = start(answer, context)
    store = RegistryStore(server.host, RegistryAccess(server.host, ca_file=ca_file))
    with pytest.raises(BundleError, match="which is plain HTTP"):
        store.push("sir", pack(make_bundle()))
    assert storage.seen == []


def test_a_list_that_goes_on_elsewhere_is_read_without_saying_who_we_are(start, log_in):
    elsewhere = start(lambda seen: json_answer({"repositories": ["b"]}))
    following = {"Link": f'<{elsewhere.url}/v2/_catalog?last=a>; rel="next"'}
    page = json.dumps({"repositories": ["a"]}).encode()
    server = start(
        lambda seen: (200, following, page) if seen.authorization else (401, CHALLENGE, b"")
    )
    log_in(server.host)
    assert RegistryStore(server.host).list_repositories() == ["a", "b"]
    assert [seen.authorization for seen in elsewhere.seen] == [None]


def test_a_private_ca_is_trusted_and_no_other(start, tls, tmp_path):
    context, ca_file = tls
    server = start(lambda seen: json_answer({"repositories": ["sir"]}), context)
    trusted = RegistryStore(server.host, RegistryAccess(server.host, ca_file=ca_file))
    assert trusted.list_repositories() == ["sir"]
    other = tmp_path / "other.crt"
    other.write_bytes(issue_authority("another", 10).certificate)
    with pytest.raises(BundleError, match="certificate verify failed"):
        RegistryStore(
            server.host, RegistryAccess(server.host, ca_file=str(other))
        ).list_repositories()


def test_a_signed_address_is_in_no_message_and_no_log(start, log_in, caplog):
    caplog.set_level(logging.DEBUG)
    storage = start(lambda seen: (400, {}, b"<Error/>"))
    server = start(redirecting(f"{storage.url}/blob?sig=planted-signature"))
    log_in(server.host)
    with pytest.raises(BundleError) as caught:
        RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
    said = traceback.format_exception(caught.value)
    with socket.socket() as deaf:
        # A port that nobody else gets, and where nobody listens.
        deaf.bind(("127.0.0.1", 0))
        storage_url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        server.answer = redirecting(f"{storage_url}/blob?sig=planted-signature")
        with pytest.raises(BundleError, match="Connection refused") as caught:
            RegistryTransport(server.host).ping()
    said += traceback.format_exception(caught.value)
    assert "planted" not in "".join([*said, caplog.text])
    assert '"GET /blob?…' in caplog.text
