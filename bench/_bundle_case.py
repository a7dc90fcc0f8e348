"""The bundle that is measured, a real registry, and a bare HTTP client to measure beside."""

import hashlib
import http.client
import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from integration.registry_process import running_registry
from modelops.bundles.artifact import Descriptor

# The registry's start is waited for, which stamina would tell of.
logging.getLogger("stamina").addHandler(logging.NullHandler())

THREADS = 8
SMALL_FILES, LARGE_BYTES = 200, 100 * 10**6
_PIECE = 2**20


@dataclass(frozen=True)
class BundleCase:
    """200 files of 2 to 4 KB and one of 100 MB random bytes, beside a registry on loopback.

    Attributes:
        root: the bundle's directory.
        host: host:port of the registry, which speaks plain HTTP.
        folder: for whatever a measurement writes.
    """

    root: Path
    host: str
    folder: Path

    @contextmanager
    def empty_registry(self) -> Iterator["BundleCase"]:
        """Give the case beside a registry that has never had anything."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        with running_registry(folder) as registry:
            yield replace(self, host=registry.host)
        give_up(folder)

    def raw_upload(self, blobs: Mapping[str, Path], repository: str) -> None:
        """Send files (digest → file), each as a blob: POST and PUT, 8 threads, from the disk."""

        def upload(connection: http.client.HTTPConnection, digest: str) -> None:
            connection.request("POST", f"/v2/{repository}/blobs/uploads/")
            begun = _answer(connection, 202)
            to = urlsplit(begun["Location"])
            with blobs[digest].open("rb", buffering=0) as file:
                headers = {
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(os.fstat(file.fileno()).st_size),
                }
                connection.request(
                    "PUT", f"{to.path}?{to.query}&digest={digest}", body=file, headers=headers
                )
            _answer(connection, 201)

        self._in_threads(upload, sorted(blobs, key=lambda digest: -blobs[digest].stat().st_size))

    def raw_download(self, blobs: Iterable[Descriptor], repository: str, to: Path) -> None:
        """Fetch blobs into files of the folder `to`, named by their digests; 8 threads."""

        def download(connection: http.client.HTTPConnection, digest: str) -> None:
            connection.request("GET", f"/v2/{repository}/blobs/{digest}")
            response = connection.getresponse()
            if response.status != 200:
                raise http.client.HTTPException(f"the raw client got {response.status}")
            buffer = memoryview(bytearray(_PIECE))
            with (to / digest).open("wb", buffering=0) as file:
                while size := response.readinto(buffer):
                    file.write(buffer[:size])

        self._in_threads(download, [blob.digest for blob in blobs])

    def _in_threads(
        self, work: Callable[[http.client.HTTPConnection, str], None], digests: Iterable[str]
    ) -> None:
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        failures: list[Exception] = []
        for digest in digests:
            waiting.put(digest)

        def run() -> None:
            connection = http.client.HTTPConnection(self.host, blocksize=_PIECE)
            try:
                while True:
                    work(connection, waiting.get_nowait())
            except queue.Empty:
                pass
            except (OSError, http.client.HTTPException) as error:
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


@contextmanager
def bundle_case() -> Iterator[BundleCase]:
    """Give the case, with a MODELOPS_HOME of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        os.environ["MODELOPS_HOME"] = str(folder / "home")
        root = folder / "bundle"
        write_bundle(root)
        data = folder / "registry"
        data.mkdir()
        with running_registry(data) as registry:
            yield BundleCase(root, registry.host, folder)


def give_up(folder: Path) -> None:
    """Free the space of a folder's large files, and leave all of them there.

    To make a file, ext4 looks at each inode that was freed within the last seconds and passes over
    it. If one measurement removed its files the next would pay for that, and most of all whoever
    makes the most files.
    """
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > _PIECE:
            os.truncate(path, 0)


def write_bundle(root: Path) -> None:
    """Write the bundle: 200 small files, manifest and model among them, and the large one."""
    _write(root, "data/large.bin", os.urandom(LARGE_BYTES))
    _write_code(root)
    for index in range(SMALL_FILES - 2):
        _write(root, f"data/part{index % 10}/{index:03}.bin", os.urandom(2000 + index * 10))


def write_small_files(root: Path, number: int) -> None:
    """Write a bundle of so many files of 1 KB."""
    _write_code(root)
    for index in range(number - 2):
        _write(root, f"data/{index % 100:02}/{index:05}.bin", os.urandom(1000))


def _write_code(root: Path) -> None:
    manifest = {"name": "bench", "version": "1.0.0", "entrypoint": "model:simulate"}
    _write(root, "manifest.json", json.dumps(manifest).encode().ljust(1000))
    model = b"def simulate(params, seed):\n    return {'x': [1.0]}\n"
    _write(root, "model.py", model.ljust(1000, b"#"))


def _write(root: Path, name: str, content: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def files_as_blobs(root: Path) -> dict[str, Path]:
    """Return digest → file for each file below a folder."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}": path for path in files}


def skopeo() -> str | None:
    """Return skopeo's program; without it say so, since its figures are missing then."""
    program = shutil.which("skopeo")
    if program is None:
        sys.stderr.write("skopeo isn't installed: there are no figures of it\n")
    return program


def skopeo_copy(program: str, source: str, target: str) -> None:
    """Copy an artifact with skopeo."""
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    subprocess.run([program, "copy", "--quiet", *plain, source, target], check=True)


def _answer(connection: http.client.HTTPConnection, status: int) -> Mapping[str, str]:
    response = connection.getresponse()
    response.read()
    if response.status != status:
        raise http.client.HTTPException(f"the raw client got {response.status} {response.reason}")
    return response.headers
