"""A blob on its way to a registry that refuses, breaks and forgets: a server on loopback."""

import hashlib
import http.server
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
import stamina

from modelops.bundles import upload as upload_module
from modelops.bundles.artifact import digest_of
from modelops.bundles.reading import BlobSource, FileReading, MemoryReading
from modelops.bundles.transport import RegistryTransport
from modelops.bundles.upload import BlobUpload
from modelops.core.errors import BundleChangedError, BundleError

CONTENT = bytes(range(256)) * 40
DIGEST = digest_of(CONTENT)
PATH = "/v2/sir"


class Uploads(http.server.ThreadingHTTPServer):
    """Takes uploads as the specification says; `faults` are what goes wrong, request by request.

    A fault is a status, or a number of bytes of the body after which the connection is cut; None
    is none.
    """

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = {}
        self.largest = None
        self.headers = {}
        self.sessions = {}
        self.blobs = {}
        self.mountable = {}
        self.log = []

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def _serve(self):
        server = self.server
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        size = int(self.headers.get("Content-Length", 0))
        server.log.append((self.command, size, self.headers.get("Content-Range")))
        faults = server.faults.get(self.command, [])
        fault = faults.pop(0) if faults else None
        session = url.path.rpartition("/")[2]
        if isinstance(fault, tuple):
            status, headers = fault
            self.rfile.read(size)
            self._say(status, **headers)
        elif isinstance(fault, int):
            server.sessions[session] += self.rfile.read(fault)
            self.close_connection = True
            self.connection.close()
        elif server.largest is not None and size > server.largest:
            self.rfile.read(size)
            self._say(413)
        else:
            getattr(self, f"_{self.command.lower()}")(query, session, self.rfile.read(size))

    def _post(self, query, session, body):
        server = self.server
        if query.get("mount") in server.mountable.get(query.get("from"), ()):
            self._say(201)
            return
        session = str(len(server.sessions))
        server.sessions[session] = b""
        self._say(202, Location=f"{PATH}/blobs/uploads/{session}", **server.headers)

    def _patch(self, query, session, body):
        there = self.server.sessions.get(session)
        span = self.headers.get("Content-Range")
        if there is None:
            self._say(404)
        elif span and int(span.partition("-")[0]) != len(there):
            self._say(416)
        else:
            self.server.sessions[session] = there + body
            self._say_state(202, session)

    def _get(self, query, session, body):
        if session in self.server.sessions:
            self._say_state(204, session)
        else:
            self._say(404)

    def _put(self, query, session, body):
        there = self.server.sessions.pop(session, None)
        if there is None:
            self._say(404)
        elif digest_of(there + body) != query["digest"]:
            self._say(400)
        else:
            self.server.blobs[query["digest"]] = there + body
            self._say(201)

    def _head(self, query, session, body):
        self._say(200 if session in self.server.blobs else 404)

    def _say_state(self, status, session):
        last = max(0, len(self.server.sessions[session]) - 1)
        self._say(status, Location=self.path.partition("?")[0], Range=f"0-{last}")

    def _say(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(upload_module, "SMALLEST_BODY", 1000)
    # As many attempts as ever, but no waiting.
    with stamina.set_testing(True, attempts=4), Uploads() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Progress:
    def __init__(self):
        self.expected = self.sent = 0

    def expect(self, size):
        self.expected += size

    def moved(self, size):
        self.sent += size


@pytest.fixture
def progress():
    return Progress()


def in_pieces(content):
    return (content[start : start + 700] for start in range(0, len(content), 700))


@pytest.fixture
def upload(server, progress):
    source = BlobSource("data.bin", len(CONTENT), lambda: FileReading(in_pieces(CONTENT)))
    return BlobUpload(RegistryTransport(server.host), PATH, source, progress)


def bodies(server, method):
    return [(size, span) for made, size, span in server.log if made == method]


def test_what_is_known_goes_in_one_request(server, upload, progress):
    upload.send(DIGEST)
    assert server.blobs == {DIGEST: CONTENT}
    assert [method for method, _, _ in server.log] == ["POST", "PUT"]
    assert progress.expected == progress.sent == len(CONTENT)


def test_what_is_unknown_is_hashed_on_its_way(server, upload, progress):
    assert upload.stream() == DIGEST
    assert server.blobs == {DIGEST: CONTENT}
    assert server.log == [("POST", 0, None), ("PATCH", len(CONTENT), None), ("PUT", 0, None)]
    assert progress.sent == len(CONTENT)


def test_a_large_blob_goes_in_several_requests(server, upload, monkeypatch, progress):
    upload._largest = 4000
    upload.send(DIGEST)
    assert server.blobs == {DIGEST: CONTENT}
    assert bodies(server, "PATCH") == [(4000, "0-3999"), (4000, "4000-7999"), (2240, "8000-10239")]
    assert progress.sent == len(CONTENT)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_body_that_is_too_large_is_sent_in_smaller_ones(server, upload, monkeypatch, is_known):
    upload._largest = 20_000
    server.largest = 3000
    if is_known:
        upload.send(DIGEST)
    else:
        assert upload.stream() == DIGEST
    assert server.blobs == {DIGEST: CONTENT}
    assert max(size for size, _ in bodies(server, "PATCH")[-5:]) <= 3000


def test_a_body_that_is_always_too_large_is_an_error(server, upload):
    server.largest = 10
    with pytest.raises(BundleError, match="413"):
        upload.send(DIGEST)


def test_the_registry_says_how_small_bodies_may_be(server, upload):
    upload._largest = 4000
    server.headers = {"OCI-Chunk-Min-Length": "6000"}
    upload.send(DIGEST)
    assert bodies(server, "PATCH") == [(6000, "0-5999"), (4240, "6000-10239")]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_broken_connection_is_taken_up_again(server, upload, progress, is_known):
    server.faults = {"PUT" if is_known else "PATCH": [5000]}
    assert upload._to_the_end(DIGEST if is_known else "") == DIGEST
    assert server.blobs == {DIGEST: CONTENT}
    assert bodies(server, "PATCH")[-1] == (5240, "5000-10239")
    assert progress.sent == len(CONTENT)


def test_connections_may_break_often_as_long_as_it_goes_on(server, upload):
    server.faults = {"PATCH": [500] * 6}
    assert upload.stream() == DIGEST
    assert server.blobs == {DIGEST: CONTENT}


def test_an_answer_that_was_lost_is_no_second_upload(server, upload, monkeypatch):
    def put(self, query, session, body):
        self.server.blobs[query["digest"]] = self.server.sessions.pop(session) + body
        self.close_connection = True

    monkeypatch.setattr(_Handler, "_put", put)
    upload.send(DIGEST)
    assert bodies(server, "POST") == [(0, None)]


@pytest.mark.parametrize("status", [404, 416])
def test_a_registry_that_forgot_the_upload_gets_it_anew(server, upload, status):
    server.faults = {"PATCH": [(status, {})]}
    assert upload.stream() == DIGEST
    assert server.blobs == {DIGEST: CONTENT}
    assert len(bodies(server, "POST")) == 2


def test_a_busy_registry_is_waited_for(server, upload):
    server.faults = {"PUT": [(503, {}), (429, {"Retry_After": "0"}), (500, {})]}
    upload.send(DIGEST)
    assert server.blobs == {DIGEST: CONTENT}


def test_a_registry_that_stays_busy_is_an_error(server, upload):
    server.faults = {"PUT": [(503, {})] * 100}
    with pytest.raises(BundleError, match="503"):
        upload.send(DIGEST)


def test_a_registry_that_wants_hours_is_an_error_at_once(server, upload):
    server.faults = {"POST": [(429, {"Retry_After": "7200"})]}
    with pytest.raises(BundleError, match="429"):
        upload.send(DIGEST)
    assert len(server.log) == 1


def test_a_blob_is_mounted_where_that_goes(server, upload, progress):
    server.mountable = {"team/other": [DIGEST]}
    upload.send(DIGEST, "team/other")
    assert server.log == [("POST", 0, None)]
    assert progress.expected == progress.sent == 0


@pytest.mark.parametrize("fault", [None, (404, {}), (405, {}), (401, {}), (403, {})])
def test_a_blob_that_cant_be_mounted_is_sent(server, upload, fault):
    server.faults = {"POST": [fault]}
    upload.send(DIGEST, "team/other")
    assert server.blobs == {DIGEST: CONTENT}
    # What the registry began instead of mounting is gone on with.
    assert len(bodies(server, "POST")) == (1 if fault is None else 2)


@pytest.mark.parametrize("largest", [20_000, 4000])
def test_bytes_that_are_sent_elsewhere_after_all_are_the_same(server, upload, progress, largest):
    upload._largest = largest
    server.faults = {
        "PUT" if largest > len(CONTENT) else "PATCH": [
            (307, {"Location": "/v2/sir/blobs/uploads/0"})
        ]
    }
    upload.send(DIGEST)
    assert server.blobs == {DIGEST: CONTENT}
    assert progress.sent == len(CONTENT)


@pytest.mark.parametrize("largest", [20_000, 3000])
@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT + b"x"])
def test_what_was_altered_is_never_finished(server, progress, content, largest):
    source = BlobSource("data.bin", len(CONTENT), lambda: FileReading(in_pieces(content)))
    upload = BlobUpload(RegistryTransport(server.host), PATH, source, progress)
    upload._largest = largest
    with pytest.raises(BundleChangedError, match=r"data\.bin was changed"):
        upload.send(DIGEST)
    assert server.blobs == {}


def test_what_is_in_memory_is_sent_in_pieces():
    data = bytes(3 * 2**20 + 1)
    reading = MemoryReading(data, digest_of(data))
    assert hashlib.sha256(b"".join(reading)).hexdigest() == reading.digest.removeprefix("sha256:")


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x"])
def test_what_has_another_size_is_never_finished(server, progress, content):
    source = BlobSource("data.bin", len(CONTENT), lambda: FileReading(in_pieces(content)))
    upload = BlobUpload(RegistryTransport(server.host), PATH, source, progress)
    with pytest.raises(BundleChangedError, match=r"data\.bin was changed"):
        upload.stream()
    assert server.blobs == {}
