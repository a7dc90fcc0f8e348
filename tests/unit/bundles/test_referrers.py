"""Referrers in an image layout, and in registries that answer in the ways that there are."""

import http.server
import json
import threading

import pytest

from modelops.bundles import registry_referrers
from modelops.bundles.artifact import INDEX_MEDIA_TYPE, digest_of
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.bundles.referrers import (
    MAX_LISTED,
    Referrer,
    ReferrerIndex,
    find_referrers,
    read_layer,
    subject_of,
)
from modelops.bundles.registry_store import RegistryStore
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

KIND = "application/vnd.example.note"


def note(store, ref, text, kind=KIND):
    referrer = Referrer(kind, subject_of(store, ref), text.encode(), "text/plain", {"a": text})
    store.push_referrer(ref, referrer)
    return referrer.listed.digest


def notes(store, ref, kind=KIND):
    return {
        found.digest: read_layer(store, ref, found.manifest, "text/plain", 1000).decode()
        for found in find_referrers(store, ref, kind)
    }


class Registry(http.server.ThreadingHTTPServer):
    """A registry in memory, as far as referrers need one.

    `has_api` says whether it lists referrers, `page` how many at a time, and `before_put` is called
    with the path before something is stored there.
    """

    def __init__(self, *, has_api, page=1000):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.has_api, self.page = has_api, page
        self.stored = {}
        self.before_put = lambda path: None

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"

    def referring(self, digest):
        for data in self.stored.values():
            content = json.loads(data) if data[:1] == b"{" else {}
            if content.get("subject", {}).get("digest") == digest:
                yield {
                    "mediaType": content["mediaType"],
                    "digest": digest_of(data),
                    "size": len(data),
                    "artifactType": content["artifactType"],
                }


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        if "/referrers/" in path and self.server.has_api:
            start, page = int(query.partition("=")[2] or 0), self.server.page
            found = list(self.server.referring(path.rpartition("/")[2]))
            headers = {"Content-Type": INDEX_MEDIA_TYPE}
            if start + page < len(found):
                headers["Link"] = f'<{path}?from={start + page}>; rel="next"'
            index = {"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE}
            body = {**index, "manifests": found[start : start + page]}
            self._answer(200, json.dumps(body).encode(), headers)
            return
        data = self.server.stored.get(path)
        if data is None:
            self._answer(404, b"")
        else:
            kind = json.loads(data).get("mediaType", "") if data[:1] == b"{" else ""
            self._answer(
                200, data, {"Content-Type": kind, "Docker-Content-Digest": digest_of(data)}
            )

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self):
        self._answer(202, b"", {"Location": f"{self.path}1"})

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path, _, query = self.path.partition("?digest=")
        if query:
            path = path.replace("uploads/1", query.replace("%3A", ":"))
        self.server.before_put(path)
        self.server.stored[path] = body
        self.server.stored[f"{path.rpartition('/')[0]}/{digest_of(body)}"] = body
        subject = json.loads(body).get("subject") if "/manifests/" in path else None
        is_listed = self.server.has_api and subject
        self._answer(201, b"", {"OCI-Subject": subject["digest"]} if is_listed else {})

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("MODELOPS_BUNDLE_INSECURE", raising=False)
    # Nobody else writes here at moments that a test doesn't choose.
    monkeypatch.setattr(registry_referrers, "_LONGEST_PAUSE", 0.001)
    running = []

    def start(**options):
        server = Registry(**options)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["layout", "api", "api in pages", "tag"])
def store(request, tmp_path, serve):
    if request.param == "layout":
        return LayoutStore(tmp_path / "store")
    page = 1 if request.param == "api in pages" else 1000
    return RegistryStore(serve(has_api=request.param != "tag", page=page).host)


@pytest.fixture
def ref(store, make_bundle):
    return store.push("sir", pack(make_bundle()))


def test_referrers_are_found_by_their_kind(store, ref, make_bundle):
    assert store.list_referrers(ref) == []
    first, second = note(store, ref, "one"), note(store, ref, "two")
    third = note(store, ref, "three", kind="application/vnd.example.other")
    assert note(store, ref, "one") == first
    assert notes(store, ref) == {first: "one", second: "two"}
    assert notes(store, ref, "application/vnd.example.other") == {third: "three"}
    other = store.push("sir", pack(make_bundle({"model.py": "def simulate(p, s): ...\n"})))
    assert notes(store, other) == {}
    note(store, other, "four")
    assert len(store.list_referrers(ref)) == 3
    assert store.list_referrers(BundleRef("sir", f"sha256:{'5' * 64}")) == []


def test_what_another_client_added_at_the_same_time_is_kept(serve, make_bundle):
    """Whoever's write was lost to another's adds it anew."""
    server = serve(has_api=False)
    store = RegistryStore(server.host)
    ref = store.push("sir", pack(make_bundle()))
    tag = f"/v2/sir/manifests/{ref.digest.replace(':', '-')}"
    rivals = iter(["first", "second"])
    lost = []

    def drop(path):
        # Just before we write, another writes what it made of the list that it read before.
        if path == tag:
            for rival in rivals:
                server.before_put = lambda path: None
                note(RegistryStore(server.host), ref, rival)
                server.before_put = drop
                lost.append(rival)
                break

    server.before_put = drop
    note(store, ref, "ours")
    server.before_put = lambda path: None
    assert lost == ["first"]
    # The other one looks again, as ours does; here it's we who stand in for it.
    note(store, ref, "first")
    assert sorted(notes(store, ref).values()) == ["first", "ours"]


def test_what_is_dropped_from_the_list_is_added_anew(serve, make_bundle):
    server = serve(has_api=False)
    store = RegistryStore(server.host)
    ref = store.push("sir", pack(make_bundle()))
    tag = f"/v2/sir/manifests/{ref.digest.replace(':', '-')}"
    drops = iter([True, True, False])
    read = _Handler.do_GET

    class Dropping(_Handler):
        """Answers a list that lacks what was just added, as if another had overwritten it."""

        def do_GET(self):
            if self.path == tag and tag in self.server.stored and next(drops, False):
                del self.server.stored[tag]
            read(self)

    server.RequestHandlerClass = Dropping
    digest = note(store, ref, "ours")
    assert notes(store, ref) == {digest: "ours"}


def test_a_list_that_never_keeps_it_is_an_error(serve, make_bundle, monkeypatch):
    monkeypatch.setattr(registry_referrers, "_ATTEMPTS", 2)
    server = serve(has_api=False)
    store = RegistryStore(server.host)
    ref = store.push("sir", pack(make_bundle()))
    read = _Handler.do_GET

    class Forgetful(_Handler):
        def do_GET(self):
            if "/manifests/sha256-" in self.path:
                self.server.stored.pop(self.path, None)
            read(self)

    server.RequestHandlerClass = Forgetful
    with pytest.raises(BundleError, match="others write its list at the same time"):
        note(store, ref, "ours")


def test_other_clients_entries_stay_as_they_are(serve, make_bundle):
    server = serve(has_api=False)
    store = RegistryStore(server.host)
    ref = store.push("sir", pack(make_bundle()))
    tag = f"/v2/sir/manifests/{ref.digest.replace(':', '-')}"
    foreign = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{'1' * 64}",
        "size": 3,
        "artifactType": "application/vnd.example.other",
        "platform": {"os": "linux"},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": [foreign]}
    server.stored[tag] = json.dumps({**index, "annotations": {"b": "c"}}).encode()
    note(store, ref, "ours")
    written = json.loads(server.stored[tag])
    assert foreign in written["manifests"]
    assert (len(written["manifests"]), written["annotations"]) == (2, {"b": "c"})


def test_lists_are_no_bundles(serve, make_bundle):
    store = RegistryStore(serve(has_api=False).host)
    ref = store.push("sir", pack(make_bundle()))
    note(store, ref, "one")
    tags = ["1.0.0", ref.digest.replace(":", "-"), f"{ref.digest.replace(':', '-')}.sig"]
    server_tags = {"name": "sir", "tags": tags}
    store._transport.request("PUT", "/v2/sir/tags/list", body=json.dumps(server_tags).encode())
    assert [bundle.tag for bundle in store.list_bundles("sir")] == ["1.0.0"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "isn't a list of referrers"),
        (b"{", "isn't a list of referrers"),
        (b"[" * 100_000, "isn't a list of referrers"),
        ({"schemaVersion": 1, "manifests": []}, "schemaVersion"),
        ({"schemaVersion": 2, "mediaType": "application/json", "manifests": []}, "but a appl"),
        ({"schemaVersion": 2, "manifests": [{"digest": "x"}]}, "isn't a list of referrers"),
        ({"schemaVersion": 2, "manifests": [{"mediaType": "a", "digest": "sha256:0", "size": 0}]},
         "64 lower-case hex digits"),
        ({"schemaVersion": 2, "manifests": [
            {"mediaType": "a", "digest": f"sha256:{n:064x}", "size": 0}
            for n in range(MAX_LISTED + 1)
        ]}, "at most 4096"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(body, reason):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BundleError, match=reason):
        ReferrerIndex.parse(data, "What lists them")


def test_entries_of_other_tools_in_a_layout_are_read(tmp_path, make_bundle):
    store = LayoutStore(tmp_path / "store")
    ref = store.push("sir", pack(make_bundle()))
    digest = note(store, ref, "one")
    other = store.push("sir", pack(make_bundle({"model.py": "def simulate(p, s): ...\n"})))
    note(store, other, "two")
    path = tmp_path / "store/sir/index.json"
    content = json.loads(path.read_text())
    for entry in content["manifests"]:
        # As they are written by who doesn't know our annotation.
        if entry["artifactType"] == KIND:
            del entry["annotations"]
            del entry["artifactType"]
    path.write_text(json.dumps(content))
    assert notes(store, ref) == {digest: "one"}
    blob = tmp_path / "store/sir/blobs/sha256" / digest.removeprefix("sha256:")
    blob.write_bytes(b"{}")
    (found,) = find_referrers(store, ref, KIND)
    assert found.manifest is None
    assert "it was altered" in found.problem
