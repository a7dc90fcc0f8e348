"""Stores in a folder and in an object store of fsspec's, both in every test that asks for `url`."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator

import fsspec
import pytest

ENVIRONMENT = "e0" * 32


def task_id(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def ids(*names: object) -> bytes:
    return b"".join(map(task_id, names))


@pytest.fixture(params=["folder", "object store"])
def url(request, tmp_path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "objects")
        return
    memory = fsspec.filesystem("memory")
    name = f"test-{uuid.uuid4().hex}"
    yield f"memory://{name}"
    if memory.exists(f"/{name}"):
        memory.rm(f"/{name}", recursive=True)


class Files:
    """The files of a store, whatever keeps them."""

    def __init__(self, url: str) -> None:
        self._filesystem, self._path = fsspec.core.url_to_fs(url)

    def __iter__(self) -> Iterator[str]:
        found = self._filesystem.find(self._path)
        return iter([path.removeprefix(self._path + "/") for path in found])

    def __getitem__(self, name: str) -> bytes:
        return self._filesystem.cat_file(f"{self._path}/{name}")

    def __setitem__(self, name: str, data: bytes) -> None:
        path = f"{self._path}/{name}"
        self._filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._filesystem.pipe_file(path, data)

    def __delitem__(self, name: str) -> None:
        self._filesystem.rm_file(f"{self._path}/{name}")


@pytest.fixture
def files(url) -> Files:
    return Files(url)
