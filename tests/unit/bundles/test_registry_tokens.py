"""What a registry may ask of whoever comes: passwords, tokens, identity tokens."""

import json
import logging
import os
import re
import socket
import threading
import traceback
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from modelops.bundles.access import RegistryAccess
from modelops.bundles.artifact import digest_of
from modelops.bundles.authentication import Authentication
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.sending import Request
from modelops.bundles.transport import RegistryTransport
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError
from web_server import json_answer, serving

MANIFEST = b"anything"
REF = BundleRef("team/sir", digest_of(MANIFEST))
PASSWORD, IDENTITY = "planted/pass+word", "planted.identity.token"
HTML = {"Content-Type": "text/html; charset=utf-8"}

pytestmark = pytest.mark.usefixtures("no_logins")


class Registry:
    """A registry whose token server gives what a test says, and which takes what it gave."""

    def __init__(self):
        self.realm = ""
        self.given = 0
        self.lasting = {"expires_in": 300}
        self.users = {}
        self.identities = set()
        self.open = True
        self.revoked = set()

    def scope(self, seen):
        name = re.match(r"/v2/(.+)/(manifests|blobs)/", seen.path)
        actions = "pull" if seen.method in ("GET", "HEAD") else "pull,push"
        return f"repository:{name[1]}:{actions}" if name else "registry:catalog:*"

    def answer(self, seen):
        if seen.path == "/token":
            return self.token(seen)
        scope = self.scope(seen)
        held = (seen.authorization or "").removeprefix("Bearer ")
        if not _is_same(held.partition("@")[2], scope) or held in self.revoked:
            challenge = f'Bearer realm="{self.realm}",service="the registry",scope="{scope}"'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        if seen.path == "/v2/_catalog":
            return json_answer({"repositories": ["sir"]})
        return 200, {}, MANIFEST if seen.method == "GET" else b""

    def token(self, seen):
        if seen.method == "POST":
            known = seen.form.get("refresh_token") in self.identities
            scope, service = seen.form["scope"], seen.form["service"]
            assert (seen.form["grant_type"], seen.form["client_id"]) == (
                "refresh_token",
                "modelops",
            )
        else:
            known = seen.authorization in self.users if seen.authorization else self.open
            (scope,), (service,) = seen.query["scope"], seen.query["service"]
        assert service == "the registry"
        if not known:
            return json_answer({"details": "incorrect username or password"}, 401)
        self.given += 1
        return json_answer({"token": f"planted{self.given}@{scope}", **self.lasting})


def _is_same(scope, other):
    return sorted(re.split("[:,]", scope)) == sorted(re.split("[:,]", other))


def basic(user="me", password=PASSWORD):
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def server(registry):
    with serving(registry.answer) as server:
        registry.realm = f"{server.url}/token"
        yield server


@pytest.fixture
def log_in(no_logins, server):
    def log_in(entry):
        folder = no_logins / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"auths": {server.host: entry}}))

    return log_in


def tokens_asked_for(server):
    return [seen for seen in server.seen if seen.path == "/token"]


def test_who_is_nobody_gets_a_token_of_what_is_open(server):
    assert RegistryStore(server.host).read_manifest(REF) == MANIFEST
    first, token, second = server.seen
    assert (first.authorization, token.authorization) == (None, None)
    assert second.authorization == "Bearer planted1@repository:team/sir:pull"


def test_a_password_goes_to_the_token_server_only(server, registry, log_in):
    registry.open, registry.users = False, {basic()}
    log_in({"auth": basic().removeprefix("Basic ")})
    assert RegistryStore(server.host).read_manifest(REF) == MANIFEST
    assert [seen.path for seen in server.seen if seen.authorization == basic()] == ["/token"]


def test_an_identity_token_is_exchanged(server, registry, log_in):
    registry.identities = {IDENTITY}
    log_in({"auth": "bWU6", "identitytoken": IDENTITY})
    store = RegistryStore(server.host)
    assert store.read_manifest(REF) == MANIFEST
    assert store.list_repositories() == ["sir"]
    assert [seen.method for seen in tokens_asked_for(server)] == ["POST", "POST"]
    assert sum(IDENTITY in seen.everything() for seen in server.seen) == 2


def test_a_token_serves_all_requests_of_its_scope(server):
    transport = RegistryTransport(server.host)
    for _ in range(3):
        for method in ("GET", "PUT"):
            for name in ("a", "b/blobs/c"):
                transport.request(method, f"/v2/{name}/blobs/x")
    scopes = [seen.query["scope"][0] for seen in tokens_asked_for(server)]
    actions = ("pull", "pull,push")
    assert scopes == [f"repository:{name}:{how}" for how in actions for name in ("a", "b/blobs/c")]
    assert len(server.seen) == 12 + 4 + 4


def test_a_token_serves_whatever_the_order_of_actions_is(server, registry):
    orders = {"manifests": "push,pull", "blobs": "pull,push"}
    registry.scope = lambda seen: f"repository:a:{orders[seen.path.split('/')[3]]}"
    for what in orders:
        RegistryTransport(server.host).request("PUT", f"/v2/a/{what}/x")
    asked = [seen.query["scope"] for seen in tokens_asked_for(server)]
    assert asked == [["repository:a:pull,push"]] * 2


def test_several_scopes_are_asked_for_one_by_one(server, registry):
    both = "repository:a:pull,push repository:b:pull"
    registry.scope = lambda seen: both

    def token(seen):
        assert seen.query["scope"] == both.split()
        return json_answer({"access_token": f"x@{both}".replace(" ", "_")})

    registry.token = token
    with pytest.raises(BundleError, match="Authentication failed"):
        RegistryTransport(server.host).request("POST", "/v2/a/blobs/uploads/?mount=d&from=b")
    assert len(tokens_asked_for(server)) == 1


def test_what_can_not_be_mounted_is_not_sent_in_vain(server):
    transport = RegistryTransport(server.host)
    transport.request("POST", "/v2/a/blobs/uploads/?mount=sha256:1&from=b")
    transport.request("PUT", "/v2/a/blobs/uploads/1?digest=sha256:1", body=b"large")
    assert [seen.method for seen in server.seen] == ["POST", "GET", "POST", "PUT"]


def test_who_logs_in_meanwhile_is_somebody(server, registry, log_in):
    transport = RegistryTransport(server.host)
    transport.request("GET", "/v2/a/blobs/x")
    registry.open, registry.users = False, {basic()}
    registry.revoked = {"planted1@repository:a:pull"}
    with pytest.raises(BundleError, match="no login was found"):
        transport.request("GET", "/v2/a/blobs/x")
    log_in({"username": "me", "password": PASSWORD})
    assert transport.request("GET", "/v2/a/blobs/x").content == MANIFEST


def test_a_token_that_ran_out_is_replaced_before_it_is_refused(server, registry):
    registry.lasting = {"expires_in": 0}
    store = RegistryStore(server.host)
    assert store.read_manifest(REF) == store.read_manifest(REF) == MANIFEST
    statuses = [seen.authorization for seen in server.seen if seen.path != "/token"]
    assert statuses == [None, *(f"Bearer planted{n}@repository:team/sir:pull" for n in (1, 2))]


@pytest.mark.parametrize(
    "lasting", [{}, {"expires_in": None}, {"expires_in": "x"}, {"expires_in": 60}]
)
def test_a_token_lasts_a_minute_if_nobody_says_how_long(server, registry, lasting):
    registry.lasting, now = lasting, [1000.0]
    transport = RegistryTransport(server.host)
    transport._authentication = Authentication(
        server.host, RegistryAccess(server.host), transport._sender, clock=lambda: now[0]
    )
    for later in (0, 50, 10):
        now[0] += later
        transport.request("GET", "/v2/a/blobs/x")
    assert [registry.given, len(server.seen)] == [2, 6]


def test_who_is_refused_with_a_token_that_another_has_replaced_hears_that_nobody_has_a_login(
    server, registry
):
    transport = RegistryTransport(server.host)
    authentication = transport._authentication
    url = f"{server.url}/v2/team/sir/blobs/x"
    refused = transport._sender.send(Request("GET", url), "")
    first = authentication.answer("GET", url, refused, "")
    second = authentication.answer("GET", url, refused, first)
    # Two have sent the first one.
    assert authentication.answer("GET", url, refused, first) == second
    assert "no login was found" in str(authentication.denied(refused))
    assert registry.given == 2


class Watched(dict):
    """An environment that tells when logins are looked for."""

    def __init__(self):
        super().__init__(os.environ)
        self.told = lambda: None

    def get(self, name, default=None):
        self.told()
        return super().get(name, default)


def test_who_is_refused_while_another_looks_for_a_login_hears_that_there_is_none(server, registry):
    environ = Watched()
    transport = RegistryTransport(server.host)
    authentication = Authentication(
        server.host, RegistryAccess(server.host), transport._sender, environ=environ
    )
    url = f"{server.url}/v2/team/sir/blobs/x"
    refused = transport._sender.send(Request("GET", url), "")
    first = authentication.answer("GET", url, refused, "")
    with ThreadPoolExecutor(1) as threads:
        heard = []

        def be_refused():
            environ.told = lambda: None
            heard.append(threads.submit(authentication.denied, refused))
            wait(heard, 0.3)

        environ.told = be_refused
        authentication.answer("GET", url, refused, first)
        assert "no login was found" in str(heard[0].result())


def test_a_token_that_is_refused_is_replaced(server, registry):
    store = RegistryStore(server.host)
    store.read_manifest(REF)
    registry.revoked.add("planted1@repository:team/sir:pull")
    assert store.read_manifest(REF) == MANIFEST
    assert registry.given == 2


def test_a_busy_token_server_is_waited_for(server, registry):
    give, busy = registry.token, [503, 429]
    registry.token = lambda seen: (busy.pop(), {}, b"") if busy else give(seen)
    assert RegistryStore(server.host).read_manifest(REF) == MANIFEST
    assert len(tokens_asked_for(server)) == 3


def test_a_token_server_that_is_not_there_is_named(server, registry):
    with socket.socket() as deaf:
        # A port that nobody else gets, and where nobody listens.
        deaf.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        registry.realm = f"{gone}/token"
        with pytest.raises(BundleError, match=f"its token server {gone}: .*Connection refused"):
            RegistryTransport(server.host).ping()


def test_threads_that_need_a_token_share_one(server, registry):
    transport = RegistryTransport(server.host)
    together = threading.Barrier(8)

    def read(_):
        together.wait(30)
        return transport.request("GET", "/v2/a/blobs/x").content

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [MANIFEST] * 8
    assert registry.given == 1


def test_a_password_that_was_changed_meanwhile_is_read_anew(server, registry, log_in):
    registry.open, registry.users = False, {basic()}
    log_in({"username": "me", "password": PASSWORD})
    store = RegistryStore(server.host)
    store.read_manifest(REF)
    registry.users = {basic(password="another")}
    log_in({"username": "me", "password": "another"})
    assert store.list_repositories() == ["sir"]


def test_a_password_that_a_registry_takes_itself_is_read_anew_too(server, registry, tmp_path):
    file = tmp_path / "password"
    file.write_text("first")
    taken = {basic(password="first")}
    server.answer = lambda seen: (
        json_answer({"repositories": []})
        if seen.authorization in taken
        else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    )
    store = RegistryStore(server.host, RegistryAccess(server.host, "me", str(file)))
    assert store.list_repositories() == store.list_repositories() == []
    file.write_text("second")
    taken = {basic(password="second")}
    assert store.list_repositories() == []
    taken = {}
    with pytest.raises(BundleError, match=r"answered 401 Unauthorized to user 'me' of .*/password"):
        store.list_repositories()


def test_of_several_ways_a_token_is_preferred(server, registry):
    answer = registry.answer

    def both(seen):
        status, headers, body = answer(seen)
        if "WWW-Authenticate" in headers:
            headers = {"WWW-Authenticate": f'Basic realm="x", {headers["WWW-Authenticate"]}'}
        return status, headers, body

    server.answer = both
    assert RegistryStore(server.host).read_manifest(REF) == MANIFEST


def test_a_token_server_may_be_elsewhere(server, registry):
    with serving(registry.answer) as elsewhere:
        registry.realm = f"{elsewhere.url}/token?tenant=7"
        assert RegistryStore(server.host).read_manifest(REF) == MANIFEST
        assert elsewhere.seen[0].query["tenant"] == ["7"]
        assert {seen.path for seen in elsewhere.seen} == {"/token"}


@pytest.mark.parametrize(
    ("realm", "why"),
    [
        ("http://auth.example.org/token", "which is plain HTTP"),
        ("/token", "isn't an absolute URL of HTTP"),
        ("ftp://127.0.0.1/token", "isn't an absolute URL of HTTP"),
        ("https://you@127.0.0.1/token", "holds a user or a password"),
    ],
)
def test_no_password_goes_where_it_could_be_read(server, registry, log_in, realm, why):
    registry.realm = realm
    log_in({"username": "me", "password": PASSWORD})
    with pytest.raises(BundleError, match=why):
        RegistryStore(server.host).read_manifest(REF)
    assert len(server.seen) == 1


def test_a_token_server_that_redirects_gets_nothing_sent_on(server, registry, log_in):
    log_in({"username": "me", "password": PASSWORD})
    with serving(lambda seen: json_answer({"token": "x"})) as elsewhere:
        registry.token = lambda seen: (307, {"Location": f"{elsewhere.url}/token"}, b"")
        with pytest.raises(BundleError, match="answered 307 Temporary Redirect"):
            RegistryStore(server.host).read_manifest(REF)
        assert elsewhere.seen == []


REFUSALS = {
    "a login page": (200, HTML, b"<html>"),
    "no JSON": (200, {}, b"?"),
    "a list": json_answer(["token"]),
    "nested": (200, {}, b"[" * 100_000),
    "no token": json_answer({"expires_in": 1}),
    "an empty token": json_answer({"token": ""}),
    "a token of two lines": json_answer({"token": "planted\r\nX-Other: 1"}),
    "no text": json_answer({"token": ["planted"]}),
    "a refusal": json_answer({"error": "invalid_grant", "error_description": "AADSTS1"}, 400),
    "endless": (200, {}, b" " * (128 * 1024 + 1)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_no_token_is_an_error_that_says_how_to_log_in(server, registry, name):
    registry.token = lambda seen: REFUSALS[name]
    with pytest.raises(BundleError) as caught:
        RegistryStore(server.host).read_manifest(REF)
    if name == "endless":
        assert "answered more than 131072 bytes" in caught.value.message
        return
    assert "Authentication failed" in caught.value.message
    assert server.host in caught.value.message
    assert f"docker login {server.host}" in caught.value.hint
    if name == "a refusal":
        assert "invalid_grant: AADSTS1" in caught.value.message


def test_a_login_that_is_refused_is_named(server, registry, log_in, no_logins):
    registry.open = False
    log_in({"username": "me", "password": PASSWORD})
    with pytest.raises(BundleError, match="answered 401 Unauthorized") as caught:
        RegistryStore(server.host).read_manifest(REF)
    assert f"user 'me' of {no_logins}/.docker/config.json" in caught.value.message


def test_without_a_login_that_is_said(server, registry):
    registry.open = False
    with pytest.raises(BundleError, match="and no login was found"):
        RegistryStore(server.host).read_manifest(REF)


def test_a_token_that_is_refused_twice_is_an_error_after_two_requests(server, registry, log_in):
    registry.users = {basic()}
    log_in({"username": "me", "password": PASSWORD})
    registry.token = lambda seen: json_answer({"token": "planted-and-useless"})
    with pytest.raises(BundleError, match="answered 401 Unauthorized to user 'me'"):
        RegistryStore(server.host).read_manifest(REF)
    assert len(server.seen) == 3


def test_an_identity_token_is_no_password(server, log_in):
    log_in({"identitytoken": IDENTITY})
    server.answer = lambda seen: (401, {"WWW-Authenticate": "Basic realm=x"}, b"")
    with pytest.raises(BundleError, match="asks for a password, and the token of") as caught:
        RegistryStore(server.host).read_manifest(REF)
    assert IDENTITY not in str(caught.value)


@pytest.mark.parametrize("header", ["Negotiate", "?" * 60_000, 'Bearer realm="', "", "Basic2 x=y"])
def test_rubbish_that_is_asked_for_is_a_refusal(server, header):
    server.answer = lambda seen: (401, {"WWW-Authenticate": header}, b"x" * 10**6)
    with pytest.raises(BundleError, match="Authentication failed") as caught:
        RegistryStore(server.host).read_manifest(REF)
    assert len(str(caught.value)) < 500


def test_what_a_registry_says_of_an_error_is_cut_off(server):
    server.answer = lambda seen: (400, {}, b"x" * 10**6)
    with pytest.raises(BundleError, match="answered 400 Bad Request to GET: xxx") as caught:
        RegistryStore(server.host).read_manifest(REF)
    assert len(str(caught.value)) < 1000


def test_a_header_without_end_is_an_error(server):
    server.answer = lambda seen: (401, {"WWW-Authenticate": "Basic " + "x" * 70_000}, b"")
    with pytest.raises(BundleError, match="can't be used: got more than 65536 bytes"):
        RegistryTransport(server.host).ping()


def test_a_list_without_end_is_refused(server):
    server.answer = lambda seen: (200, {}, b" " * (16 * 2**20 + 1))
    with pytest.raises(BundleError, match="answered more than 16777216 bytes"):
        RegistryStore(server.host).list_repositories()


def test_netrc_is_not_asked(server, no_logins, monkeypatch):
    (no_logins / ".netrc").write_text("machine 127.0.0.1 login me password planted\n")
    monkeypatch.setenv("NETRC", str(no_logins / ".netrc"))
    transport = RegistryTransport(server.host)
    transport._session.trust_env = True
    assert transport.request("GET", "/v2/a/blobs/x").content == MANIFEST
    assert server.seen[0].authorization is None
    assert not any("Basic" in (seen.authorization or "") for seen in server.seen)


@pytest.mark.parametrize("scheme", ["basic", "bearer", "identity"])
def test_no_secret_is_in_a_message_or_a_log(server, registry, log_in, caplog, scheme):
    caplog.set_level(logging.DEBUG)
    entry = {"username": "me", "password": PASSWORD}
    log_in({"identitytoken": IDENTITY} if scheme == "identity" else entry)
    registry.users, registry.identities = {basic()}, {IDENTITY}

    def echo(seen):
        """Say back all that came, as a server that debugs might."""
        said = seen.everything().encode()
        if seen.path == "/token":
            return registry.token(seen) if steps.pop(0) == "token" else (403, {}, said)
        if seen.authorization is None:
            way = "Basic realm=x" if scheme == "basic" else f'Bearer realm="{registry.realm}"'
            way += ',service="the registry",scope="repository:a:pull"'
            return 401, {"WWW-Authenticate": way}, b""
        errors = json.dumps({"errors": [{"code": "X", "message": seen.everything()}]}).encode()
        return steps.pop(0), {}, said if steps.pop(0) == "text" else errors

    server.answer = echo
    told = []
    for plan in (
        ["token", 400, "text"],
        ["token", 405, "json"],
        ["token", 403, "text"],
        ["refused"],
    ):
        steps = plan if scheme != "basic" else plan[1:]
        if not steps:
            continue
        with pytest.raises(BundleError) as caught:
            RegistryTransport(server.host).request("GET", "/v2/a/blobs/x")
        told += traceback.format_exception(caught.value)
    said = "".join([*told, caplog.text, *(str(record.args) for record in caplog.records)])
    assert "[hidden]" in said
    for secret in (PASSWORD, IDENTITY, basic().removeprefix("Basic "), "planted"):
        assert secret not in said
