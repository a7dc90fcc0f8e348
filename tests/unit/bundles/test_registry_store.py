"""What a registry may answer, from a server on loopback that answers what a test says."""

import http.server
import threading

import pytest

from modelops.bundles.artifact import Descriptor, digest_of
from modelops.bundles.packing import pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.stores import open_store, store_of
from modelops.bundles.transport import RegistryTransport
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

REF = BundleRef("sir", f"sha256:{'0' * 64}")
HTML = {"Content-Type": "text/html; charset=utf-8"}


class Answers(http.server.ThreadingHTTPServer):
    """Answers each request with the next of `answers` (status, headers, body), then the last."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = [(404, {}, b"")]
        self.requests = []

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def _no_logins(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("MODELOPS_BUNDLE_INSECURE", raising=False)


@pytest.fixture
def server():
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(server):
    return RegistryStore(server.host)


@pytest.mark.parametrize(
    "answer",
    [
        (200, HTML, b"<html>Please log in</html>"),
        (404, HTML, b"<html>"),
        (401, {}, b""),
        (403, {}, b""),
        (401, {"WWW-Authenticate": 'Bearer service="x"'}, b""),
        (401, {"WWW-Authenticate": 'Basic realm="x"'}, b""),
    ],
)
def test_login_pages_and_refusals_name_the_login_command(server, store, answer):
    server.answers = [answer]
    with pytest.raises(BundleError, match=r"Authentication failed|asks for a password") as caught:
        store.read_manifest(REF)
    assert f"docker login {server.host}" in caught.value.hint


def test_a_login_page_in_place_of_a_token_is_a_refusal(server, store):
    challenge = f'Bearer realm="http://{server.host}/token",service="x",scope="y"'
    server.answers = [(401, {"WWW-Authenticate": challenge}, b""), (200, HTML, b"<html>")]
    with pytest.raises(BundleError, match="Authentication failed"):
        store.read_manifest(REF)


def test_a_token_is_asked_for_anew_when_it_no_longer_does(server, store):
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{server.host}/token",scope="y"'}
    manifest = b"anything"
    ref = BundleRef("sir", digest_of(manifest))
    server.answers = [
        (401, challenge, b""),
        (200, {}, b'{"token": "first"}'),
        (200, {}, manifest),
        (401, challenge, b""),
        (200, {}, b'{"token": "second"}'),
        (200, {}, manifest),
    ]
    assert store.read_manifest(ref) == store.read_manifest(ref) == manifest
    used = [headers.get("Authorization") for _, _, headers, _ in server.requests]
    assert used == [None, None, "Bearer first", "Bearer first", None, "Bearer second"]


def test_passwords_of_docker_login_are_used(server, tmp_path, monkeypatch):
    config = f'{{"auths": {{"{server.host}": {{"auth": "dXNlcjpwYXNz"}}}}}}'
    (tmp_path / "config.json").write_text(config)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    manifest = b"anything"
    server.answers = [(401, {"WWW-Authenticate": 'Basic realm="x"'}, b""), (200, {}, manifest)]
    assert RegistryStore(server.host).read_manifest(BundleRef("sir", digest_of(manifest)))
    assert server.requests[-1][2]["Authorization"] == "Basic dXNlcjpwYXNz"


def test_a_busy_registry_is_waited_for(server, store):
    manifest = b"anything"
    server.answers = [(503, HTML, b"<html>"), (429, {}, b""), (200, {}, manifest)]
    assert store.read_manifest(BundleRef("sir", digest_of(manifest))) == manifest


def test_an_upload_that_breaks_begins_anew(server, store, make_bundle):
    packed = pack(make_bundle())
    begun = (202, {"Location": "/v2/sir/blobs/uploads/1?state=a%2Fb"}, b"")
    server.answers = [
        (404, {}, b""),
        begun,
        (500, {}, b""),
        begun,
        (201, {}, b""),
        (200, {}, b""),
        (200, {"Docker-Content-Digest": packed.digest}, b""),
    ]
    assert store.push("sir", packed) == BundleRef("sir", packed.digest)
    puts = [(path, body) for method, path, _, body in server.requests if method == "PUT"]
    config = packed.blobs[0]
    digest = config.descriptor.digest.replace(":", "%3A")
    path = f"/v2/sir/blobs/uploads/1?state=a%2Fb&digest={digest}"
    assert puts == [(path, b"".join(config.chunks()))] * 2


def test_what_is_not_the_digest_is_refused(server, store, tmp_path):
    server.answers = [(200, {}, b"x" * 100)]
    with pytest.raises(BundleError, match="it was altered"):
        store.read_manifest(REF)
    for size, message in ((100, "altered"), (99, "larger"), (101, "cut short")):
        descriptor = Descriptor(media_type="x", digest=REF.digest, size=size)
        with pytest.raises(BundleError, match=message):
            store.fetch_blob(REF, descriptor, tmp_path / "blob")


def test_a_manifest_without_end_is_refused(server, store):
    server.answers = [(200, {}, bytes(4 * 2**20 + 1))]
    with pytest.raises(BundleError, match="larger than a manifest may be"):
        store.read_manifest(REF)


def test_a_download_that_breaks_is_tried_again(server, store, tmp_path):
    content = b"x" * 100
    descriptor = Descriptor(media_type="x", digest=digest_of(content), size=100)
    cut = (200, {"Content-Length": "100", "Connection": "close"}, content[:60])
    server.answers = [cut, (200, {}, content)]
    store.fetch_blob(REF, descriptor, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == content


def test_what_is_not_there_is_said(server, store, tmp_path):
    with pytest.raises(BundleError, match=f"There is no {REF} in the bundle registry"):
        store.read_manifest(REF)
    assert store.list_repositories() == []
    assert store.list_bundles("sir") == []
    with pytest.raises(BundleError, match="There is no sir:1"):
        store.resolve("sir", "1")


def test_what_the_registry_says_is_passed_on(server, store):
    server.answers = [(400, {}, b'{"errors": [{"code": "DENIED", "message": "quota"}]}')]
    with pytest.raises(BundleError, match="DENIED: quota"):
        store.read_manifest(REF)


def test_lists_come_in_pages(server):
    following = {"Link": '</v2/_catalog?last=a>; rel="next"'}
    server.answers = [
        (200, following, b'{"repositories": ["team/b", "other/c"]}'),
        (200, {}, b'{"repositories": ["team/a"]}'),
    ]
    assert RegistryStore(f"{server.host}/team").list_repositories() == ["a", "b"]
    assert server.requests[1][1] == "/v2/_catalog?last=a"


def test_a_prefix_goes_before_the_repository(server):
    store = RegistryStore(f"{server.host}/team/bundles/")
    for ref in (REF, BundleRef("whole/name", REF.digest, server.host)):
        with pytest.raises(BundleError, match="There is no"):
            store.read_manifest(ref)
    with pytest.raises(BundleError, match="isn't in the bundle registry"):
        store.read_manifest(BundleRef("sir", REF.digest, "ghcr.io"))
    assert [path for _, path, _, _ in server.requests] == [
        f"/v2/team/bundles/sir/manifests/{REF.digest}",
        f"/v2/whole/name/manifests/{REF.digest}",
    ]


def test_no_registry_says_what_to_check(server):
    host = server.host
    server.server_close()
    with pytest.raises(BundleError, match="Connection refused") as caught:
        RegistryStore(host).read_manifest(REF)
    assert "that the registry runs" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "insecure", "scheme"),
    [
        ("localhost:5000", None, "http"),
        ("localhost", None, "http"),
        ("127.0.0.1:5000", None, "http"),
        ("127.8.8.8", None, "http"),
        ("[::1]:5000", None, "http"),
        ("localhost.example.org", None, "https"),
        ("10.0.0.1:5000", None, "https"),
        ("ghcr.io", None, "https"),
        ("ghcr.io", "false", "https"),
        ("ghcr.io", "true", "http"),
    ],
)
def test_plain_http_is_for_loopback_or_asked_for(monkeypatch, host, insecure, scheme):
    if insecure is not None:
        monkeypatch.setenv("MODELOPS_BUNDLE_INSECURE", insecure)
    assert RegistryTransport(host)._scheme == scheme


def test_another_value_of_insecure_is_refused(monkeypatch):
    monkeypatch.setenv("MODELOPS_BUNDLE_INSECURE", "yes")
    with pytest.raises(BundleError, match="MODELOPS_BUNDLE_INSECURE is 'yes'"):
        RegistryTransport("ghcr.io")


def test_azure_has_a_login_of_its_own():
    assert "az acr login --name mine" in RegistryTransport("mine.azurecr.io")._login_hint()


@pytest.mark.parametrize(
    "url", ["oci://ghcr.io", "ghcr.io", "oci://localhost:5000/team", "host:80"]
)
def test_urls_open_registries(url):
    assert isinstance(open_store(url), RegistryStore)


def test_a_reference_with_a_host_is_in_that_registry(tmp_path, server):
    store = store_of(BundleRef("sir", REF.digest, server.host), f"oci-layout://{tmp_path}")
    assert isinstance(store, RegistryStore)
    assert not isinstance(store_of(REF, f"oci-layout://{tmp_path}"), RegistryStore)
