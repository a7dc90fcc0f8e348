"""Wheels written by hand, and indexes on loopback that have them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from web_server import Answer, Seen, WebServer, serving


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    requires: Sequence[str] = (),
) -> Path:
    """Write a wheel of pure Python (https://packaging.python.org/specifications/binary-distribution-format)."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents = {
        **files,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": tags,
    }
    record = "".join(
        f"{path},sha256={_hash(text)},{len(text.encode())}\n" for path, text in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in contents.items():
            # The same bytes each time, for those that hash it.
            wheel.writestr(zipfile.ZipInfo(member), text)
    return path


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@contextmanager
def index_of(folder: Path, login: str = "") -> Iterator[WebServer]:
    """Serve a folder's wheels below `/simple/` (PEP 503), to those who have the login."""
    wanted = f"Basic {base64.b64encode(login.encode()).decode()}"

    def answer(seen: Seen) -> Answer:
        if login and seen.authorization != wanted:
            return 401, {"WWW-Authenticate": 'Basic realm="wheels"'}, b"log in first"
        *_, last = seen.path.strip("/").split("/")
        if last.endswith(".whl"):
            return 200, {}, (folder / last).read_bytes()
        wheels = sorted(folder.glob(f"{last.replace('-', '_')}-*.whl"))
        if not wheels:
            return 404, {}, b"no such project"
        links = "".join(
            f'<a href="/files/{path.name}#sha256='
            f'{hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
            for path in wheels
        )
        page = f"<!DOCTYPE html><html><body>{links}</body></html>"
        return 200, {"Content-Type": "text/html"}, page.encode()

    with serving(answer) as server:
        yield server
