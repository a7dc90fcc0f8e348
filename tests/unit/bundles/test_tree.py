import os
import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from modelops.bundles.tree import DEFAULT_IGNORES, _any_rule, list_files
from modelops.core.errors import BundleFileError


def names(root):
    return [file.name for file in list_files(root)]


def test_lists_files_in_the_order_of_their_bytes(make_bundle):
    root = make_bundle({"a/b": "", "a-b": "", "a.b": "", "é": "", "Z": "", "targets.py": None})
    expected = ["Z", "a-b", "a.b", "a/b", "data/observed.csv", "manifest.json", "model.py", "é"]
    assert names(root) == expected


def test_what_is_made_by_tools_is_left_out(make_bundle):
    left_out = [
        "__pycache__/x.pyc",
        "a/x.pyc",
        ".git/HEAD",
        ".venv/bin/python",
        ".env",
        ".DS_Store",
    ]
    root = make_bundle(dict.fromkeys([*left_out, ".modelops-bundle/other"], ""))
    assert names(root) == ["data/observed.csv", "manifest.json", "model.py", "targets.py"]


def test_the_ignore_file_has_the_last_word(make_bundle):
    ignore = "/data/*\n!/data/keep.csv\n!.env\n*.log\n# comment\n"
    root = make_bundle(
        {
            ".mopsignore": ignore,
            "data/keep.csv": "",
            "deep/data/x": "",
            "a.log": "",
            ".env": "",
            ".modelops-bundle/registry.yaml": "",
        }
    )
    assert names(root) == [
        ".env",
        ".modelops-bundle/registry.yaml",
        ".mopsignore",
        "data/keep.csv",
        "deep/data/x",
        "manifest.json",
        "model.py",
        "targets.py",
    ]


@pytest.mark.parametrize("rule", ["!", "[b-a].csv"])
def test_a_broken_ignore_file_is_named(make_bundle, rule):
    with pytest.raises(BundleFileError, match=r"\.mopsignore"):
        list_files(make_bundle({".mopsignore": f"{rule}\n"}))


def test_every_entry_that_cannot_be_packed_is_named(make_bundle, monkeypatch):
    root = make_bundle()
    (root / "link").symlink_to("model.py")
    (root / "folder").symlink_to("data")
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
    with pytest.raises(BundleFileError) as caught:
        list_files(root)
    for name in ("link", "folder", "broken"):
        assert f"{name}: a symbolic link" in caught.value.message
    assert "pipe: a named pipe" in caught.value.message
    assert "sock: a socket" in caught.value.message
    assert ".mopsignore" in caught.value.hint


def test_a_link_that_is_ignored_is_no_problem(make_bundle):
    root = make_bundle({".mopsignore": "link\n"})
    (root / "link").symlink_to("/")
    assert "link" not in names(root)


def test_a_name_that_is_not_utf8_is_named(make_bundle):
    root = make_bundle()
    (root / os.fsdecode(b"\xff.csv")).touch()
    with pytest.raises(BundleFileError, match=r"xff\.csv.*isn't UTF-8"):
        list_files(root)


def test_of_the_mode_only_execution_counts(make_bundle):
    root = make_bundle({"run.sh": ""})
    (root / "run.sh").chmod(0o4711)
    (root / "model.py").chmod(0o600)
    modes = {file.name: file.mode for file in list_files(root)}
    assert modes["run.sh"] == 0o755
    assert modes["model.py"] == 0o644


def test_no_directory_is_an_error(tmp_path):
    with pytest.raises(BundleFileError, match="isn't a directory"):
        list_files(tmp_path / "none")


rules = st.text(st.sampled_from("ab.*?/![]-\\# "), min_size=1, max_size=10)
paths = st.lists(st.text(st.sampled_from("ab.-"), min_size=1, max_size=4), min_size=1).map("/".join)


@given(lines=st.lists(rules, max_size=6), path=paths, end=st.sampled_from(["", "/"]))
def test_what_no_rule_is_about_is_never_ignored(lines, path, end):
    try:
        spec = GitIgnoreSpec.from_lines([*DEFAULT_IGNORES, *lines])
    except (ValueError, re.error):
        return
    if _any_rule(spec)(path + end) is None:
        assert spec.check_file(path + end).include is None


@pytest.mark.parametrize("rules", [(), ("*.log", "/data/*", "!keep")])
def test_few_files_are_asked_about_in_full(rules):
    any_rule = _any_rule(GitIgnoreSpec.from_lines([*DEFAULT_IGNORES, *rules]))
    assert any_rule("src/model.py") is None
    assert any_rule("src/__pycache__/")
    assert any_rule(".modelops-bundle/registry.yaml")
