import logging
import sys
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from modelops.core.errors import ResultStoreError
from modelops.result_store.addresses import shown
from modelops.result_store.collection import collect
from modelops.result_store.index import ResultIndex
from modelops.result_store.store import ResultStore
from unit.result_store.conftest import ENVIRONMENT, ids, task_id

URL = "refusing://user:pass/wo%20rd@host/folder?signature=abc/def123&x=1#fragment"
SECRETS = ("pass/wo", "wo rd", "wo%20rd", "abc/def123", "abc%2Fdef123")


class RefusingFileSystem(MemoryFileSystem):
    """Fails as the packages of clouds do, with a URL in what it says."""

    protocol = "refusing"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    refuses: ClassVar = ()

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.rpartition("@")[2].partition("?")[0].strip("/")

    def _refuse(self, what):
        if what in type(self).refuses:
            raise RuntimeError(
                f"403 of PUT {URL} and of https://h/x?sig=abc%2Fdef123, with pass/wo rd."
            )

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        self._refuse("put")
        super().pipe_file(path, value, mode, **kwargs)

    def cat_file(self, path, start=None, end=None, **kwargs):
        self._refuse("read")
        return super().cat_file(path, start, end, **kwargs)

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **kwargs):
        self._refuse("list")
        return super().find(path, maxdepth, withdirs, detail, **kwargs)


@pytest.fixture(autouse=True)
def refusing():
    fsspec.register_implementation("refusing", RefusingFileSystem, clobber=True)
    yield RefusingFileSystem
    RefusingFileSystem.refuses = ()
    RefusingFileSystem.store.clear()


def check(text: str) -> None:
    assert "refusing://host/folder" in text
    assert not [secret for secret in SECRETS if secret in text]


def test_a_refused_write_says_so_without_what_is_secret(refusing):
    refusing.refuses = ("put",)
    with pytest.raises(ResultStoreError, match=r"can't be stored in .*RuntimeError: 403") as caught:
        ResultStore(URL, ENVIRONMENT).write("run-1", ids("a"), [True], b"")
    check(str(caught.value))
    assert caught.value.__cause__ is None


def test_a_refused_listing_says_so_without_what_is_secret(refusing):
    refusing.refuses = ("list",)
    for act in (
        ResultIndex(URL, ENVIRONMENT).refresh,
        lambda: collect(URL, older_than=None, runs=["run-1"], now=None),
    ):
        with pytest.raises(ResultStoreError, match=r"can't be listed in .*RuntimeError") as caught:
            act()
        check(str(caught.value))


def test_heads_that_cannot_be_read_now_are_read_later(refusing, caplog):
    ResultStore(URL, ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    index = ResultIndex(URL, ENVIRONMENT)
    refusing.refuses = ("read",)
    index.refresh()
    assert index.find(task_id("a")) is None
    check(caplog.text)
    refusing.refuses = ()
    index.refresh()
    assert index.find(task_id("a")).answer() == b"answer"


def test_an_answer_that_cannot_be_read_now_is_simulated_again(refusing, caplog):
    ResultStore(URL, ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    index = ResultIndex(URL, ENVIRONMENT)
    index.refresh()
    refusing.refuses = ("read",)
    assert index.find(task_id("a")).answer() is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    check(caplog.text)
    refusing.refuses = ()
    index.refresh()
    assert index.find(task_id("a")).answer() == b"answer"


@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [
        ("s3", "s3fs", "s3"),
        ("gs", "gcsfs", "gcs"),
        ("az", "adlfs", "azure"),
        ("abfs", "adlfs", "azure"),
    ],
)
def test_a_missing_package_is_named_by_its_extra(monkeypatch, scheme, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ResultStoreError, match="isn't installed") as caught:
        ResultStore(f"{scheme}://key:secret@bucket/folder", ENVIRONMENT)
    assert caught.value.hint == f'Install it with: pip install "modelops[{extra}]"'
    assert "secret" not in str(caught.value)


def test_an_unknown_scheme_is_an_error():
    with pytest.raises(ResultStoreError, match="nosuch://bucket") as caught:
        ResultIndex("nosuch://key:secret@bucket", ENVIRONMENT)
    assert "secret" not in str(caught.value)


def test_no_url_is_an_error_and_not_the_working_directory():
    with pytest.raises(ResultStoreError, match="no URL"):
        ResultStore("", ENVIRONMENT)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/data/a@b?c", "/data/a@b?c"),
        ("file:///data/a@b", "file:///data/a@b"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("s3://key:se/cr@t@bucket/folder?x=1#y", "s3://bucket/folder"),
        ("simplecache::s3://bucket", "s3://bucket"),
        ("zip://a?b::https://user:pw@host/x", "https://host/x"),
        (
            "abfs://container@account.dfs.core.windows.net/x",
            "abfs://account.dfs.core.windows.net/x",
        ),
    ],
)
def test_urls_are_shown_without_what_is_secret(url, expected):
    assert shown(url) == expected
