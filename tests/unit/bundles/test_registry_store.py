"""What a registry may answer, from a server on loopback that answers what a test says."""

import http.server
import threading
import time
from email.utils import formatdate

import pytest
import requests
import stamina

from modelops.bundles import transport
from modelops.bundles.access import RegistryAccess
from modelops.bundles.artifact import Descriptor, digest_of
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.retrying import asked_to_wait
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
    # As often as otherwise, without the pauses.
    with stamina.set_testing(True, attempts=4, cap=True), Answers() as server:
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


CONTENT = bytes(range(256)) * 8
CUT = {"Content-Length": str(len(CONTENT)), "Connection": "close"}
BLOB = Descriptor(media_type="x", digest=digest_of(CONTENT), size=len(CONTENT))


def part(start, *, said=None, content=None):
    """The answer to a request for the bytes from `start` on."""
    body = CONTENT[start:] if content is None else content
    said = start if said is None else said
    content_range = f"bytes {said}-{len(CONTENT) - 1}/{len(CONTENT)}"
    return (206, {"Content-Range": content_range, "Content-Length": str(len(body))}, body)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([(200, CUT, CONTENT[:700]), part(700)], [None, "bytes=700-"]),
        ([(200, CUT, CONTENT[:700]), (200, {}, CONTENT)], [None, "bytes=700-"]),
        (
            [(200, CUT, CONTENT[:700]), (416, {}, b""), (200, {}, CONTENT)],
            [None, "bytes=700-", None],
        ),
        ([(200, CUT, CONTENT[:700]), part(0), (200, {}, CONTENT)], [None, "bytes=700-"]),
        (
            [(200, CUT, CONTENT[:700]), part(700, said=600), (200, {}, CONTENT)],
            [None, "bytes=700-", None],
        ),
        (
            [(200, CUT, CONTENT[:700]), (206, {}, CONTENT[700:]), (200, {}, CONTENT)],
            [None, "bytes=700-", None],
        ),
        (
            [(200, CUT, CONTENT[:700]), (503, {}, b""), part(700)],
            [None, "bytes=700-", "bytes=700-"],
        ),
    ],
    ids=["taken up", "no parts", "no such part", "the whole", "another", "any", "busy"],
)
def test_a_download_that_breaks_is_taken_up(server, store, tmp_path, answers, asked):
    server.answers = answers
    store.fetch_blob(REF, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert [headers.get("Range") for _, _, headers, _ in server.requests] == asked


def test_a_part_that_is_another_blobs_is_refused(server, store):
    server.answers = [(200, CUT, CONTENT[:700]), part(700, content=bytes(len(CONTENT) - 700))]
    with pytest.raises(BundleError, match="it was altered"):
        store.read_blob(REF, BLOB)


def test_progress_says_how_much_is_there(server, store):
    counts = []
    server.answers = [(200, CUT, CONTENT[:700]), (200, {}, CONTENT)]
    assert store.read_blob(REF, BLOB, counts.append) == CONTENT
    assert -700 in counts
    assert sum(counts) == len(CONTENT)


def test_a_registry_that_breaks_off_again_and_again_is_given_up(server, store):
    server.answers = [(200, CUT, CONTENT[:700]), (206, {**part(700)[1], **CUT}, b"")]
    with pytest.raises(BundleError, match="can't be used") as caught:
        store.read_blob(REF, BLOB)
    assert "that the registry runs" in caught.value.hint
    assert len(server.requests) == 4


def test_as_long_as_parts_come_a_download_goes_on(server, store, tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "_WORTH_GOING_ON", 100)
    cut = [(206, {**part(at)[1], **CUT}, CONTENT[at : at + 100]) for at in range(100, 900, 100)]
    server.answers = [(200, CUT, CONTENT[:100]), *cut, part(900)]
    store.fetch_blob(REF, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert len(server.requests) == 10


def test_a_registry_that_says_when_is_waited_for(server, store):
    server.answers = [(429, {"Retry-After": "0"}, b""), (200, {}, CONTENT)]
    assert store.read_blob(REF, BLOB) == CONTENT


def test_a_registry_that_asks_to_wait_for_hours_is_not_waited_for(server, store):
    server.answers = [(429, {"Retry-After": "7200"}, b"")]
    with pytest.raises(BundleError, match="429"):
        store.read_blob(REF, BLOB)
    assert len(server.requests) == 1


def test_retry_after_may_be_a_date():
    response = requests.Response()
    assert asked_to_wait(response) is None
    response.headers["Retry-After"] = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert asked_to_wait(response) == 0
    response.headers["Retry-After"] = formatdate(time.time() + 600, usegmt=True)
    assert 500 < asked_to_wait(response) <= 600
    response.headers["Retry-After"] = "soon"
    assert asked_to_wait(response) is None


def test_what_is_not_there_is_said(server, store, tmp_path):
    with pytest.raises(BundleError, match=f"There is no {REF} in the bundle registry"):
        store.read_manifest(REF)
    with pytest.raises(BundleError, match="There is no such API"):
        store.list_repositories()
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


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "ghcr.io"])
def test_with_a_ca_plain_http_is_never_spoken(monkeypatch, tmp_path, host):
    monkeypatch.setenv("MODELOPS_BUNDLE_INSECURE", "true")
    ca = tmp_path / "ca.crt"
    access = RegistryAccess(host, ca_file=str(ca))
    with pytest.raises(BundleError, match=r"isn't there: .*ca\.crt"):
        RegistryTransport(host, access)
    ca.touch()
    assert RegistryTransport(host, access)._scheme == "https"


@pytest.mark.parametrize("url", ["me:pw-secret@ghcr.io", "oci://me:pw-secret@ghcr.io/team"])
def test_an_address_with_a_password_is_refused_without_showing_it(url):
    with pytest.raises(BundleError, match="holds a user or a password") as caught:
        open_store(url)
    assert "pw-secret" not in str(caught.value)


CHALLENGE = (401, {"Www-Authenticate": 'Basic realm="r"'}, b"")


def test_user_and_password_file_are_for_the_environments_own_registry(server, tmp_path):
    (tmp_path / "password").write_text("hidden\n")
    access = RegistryAccess(server.host, "me", str(tmp_path / "password"))
    seen = []
    answer = server.RequestHandlerClass._answer

    def note(self):
        seen.append(self.headers.get("Authorization"))
        answer(self)

    handler = type("Noting", (server.RequestHandlerClass,), {"do_GET": note})
    server.RequestHandlerClass = handler
    server.answers = [CHALLENGE, (200, {}, b'{"repositories": []}')]
    assert store_of(REF, access).list_repositories() == []
    assert seen == [None, "Basic bWU6aGlkZGVu"]
    own = store_of(BundleRef("sir", REF.digest, server.host), access)
    assert own._transport._authentication._access == access
    other = store_of(BundleRef("sir", REF.digest, "ghcr.io"), access)
    assert other._transport._authentication._access == RegistryAccess("oci://ghcr.io")


@pytest.mark.parametrize(
    ("username", "password_file", "words"),
    [
        ("me", "/nowhere/password", "can't be read: /nowhere/password"),
        ("me", "", "only one of user and password"),
        ("", "/nowhere/password", "only one of user and password"),
    ],
)
def test_a_password_that_isnt_there_is_an_error(server, username, password_file, words):
    server.answers = [CHALLENGE]
    store = open_store(RegistryAccess(server.host, username, password_file))
    with pytest.raises(BundleError, match=words):
        store.list_repositories()


def test_a_refused_password_is_an_error_that_names_its_file(server, tmp_path):
    (tmp_path / "password").write_text("hidden")
    server.answers = [CHALLENGE]
    store = open_store(RegistryAccess(server.host, "me", str(tmp_path / "password")))
    with pytest.raises(BundleError, match="Authentication failed") as caught:
        store.list_repositories()
    assert str(tmp_path / "password") in caught.value.hint
    assert "hidden" not in str(caught.value)


def test_another_value_of_insecure_is_refused(monkeypatch):
    monkeypatch.setenv("MODELOPS_BUNDLE_INSECURE", "yes")
    with pytest.raises(BundleError, match="MODELOPS_BUNDLE_INSECURE is 'yes'"):
        RegistryTransport("ghcr.io")


def test_azure_has_a_login_of_its_own():
    assert (
        "az acr login --name mine"
        in RegistryTransport("mine.azurecr.io")._authentication.login_hint()
    )


@pytest.mark.parametrize(
    "url", ["oci://ghcr.io", "ghcr.io", "oci://localhost:5000/team", "host:80"]
)
def test_urls_open_registries(url):
    assert isinstance(open_store(url), RegistryStore)


def test_a_reference_with_a_host_is_in_that_registry(tmp_path, server):
    store = store_of(BundleRef("sir", REF.digest, server.host), f"oci-layout://{tmp_path}")
    assert isinstance(store, RegistryStore)
    assert not isinstance(store_of(REF, f"oci-layout://{tmp_path}"), RegistryStore)
