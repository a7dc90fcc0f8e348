"""`mops bundle push`, `pull` and `list`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.cli.answering import Answering
from unit.cli.bundle_commands import Project, project_fixture

__all__ = ["project_fixture"]


@pytest.fixture
def pushed(project: Project) -> str:
    """The digest of the project's bundle, which is in the registry."""
    digest: str = project.bundle("push", "--json").json["digest"]
    return digest


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Answering]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    with Answering() as server:
        monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", f"oci://{server.host}")
        yield server


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "runtime.yaml"
    }


def test_what_is_pulled_can_be_pushed_again_as_the_same(project: Project, pushed: str) -> None:
    (project.root / "run.sh").write_text("#!/bin/sh\n")
    (project.root / "run.sh").chmod(0o755)
    digest = project.bundle("push", "--json").json["digest"]
    assert digest != pushed
    done = project.bundle("pull", "mine:0.1.0", "../copy")
    assert (done.code, done.out) == (0, "../copy\n")
    assert f"mine:0.1.0 is mine@{digest}" in done.err
    copy = project.root.parent / "copy"
    assert contents(copy) == contents(project.root)
    again = project.bundle("push", str(copy), "--repository", "other", "--json")
    assert again.json == {"reference": f"other@{digest}", "digest": digest}


@pytest.mark.parametrize(
    "reference",
    [
        "mine@{digest}",
        "mine:{digest}",
        "mine:0.1.0",
        "oci-layout:{registry}/mine:0.1.0",
        "oci-layout://{registry}/mine@{digest}",
    ],
)
def test_every_kind_of_reference_is_pulled(
    project: Project, pushed: str, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "layout" in reference:
        monkeypatch.delenv("MODELOPS_BUNDLE_REGISTRY")
    monkeypatch.chdir(project.root.parent)
    written = reference.format(digest=pushed, registry=project.registry)
    done = project.bundle("pull", written, "--json")
    assert done.code == 0
    assert (done.json["digest"], done.json["path"]) == (pushed, "mine")
    assert done.json["reference"].endswith(f"mine@{pushed}")
    assert (project.root.parent / "mine/model.py").exists()


def test_an_empty_directory_is_filled_and_deeper_ones_are_made(
    project: Project, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = project.root.parent / "empty"
    empty.mkdir()
    inode = empty.stat().st_ino
    monkeypatch.chdir(empty)
    assert project.bundle("pull", "mine:0.1.0", ".").code == 0
    assert contents(empty) == contents(project.root)
    assert empty.stat().st_ino == inode
    assert project.bundle("pull", "mine:0.1.0", "../a/b/c").code == 0
    assert contents(empty.parent / "a/b/c") == contents(project.root)
    assert [path.name for path in (empty.parent / "a").iterdir()] == ["b"]


def test_what_is_there_is_never_overwritten(project: Project, pushed: str) -> None:
    full, file = project.root.parent / "full", project.root.parent / "file"
    full.mkdir()
    (full / "mine.txt").write_text("precious")
    file.write_text("precious")
    (full.parent / "link").symlink_to("nowhere")
    for target, words in ((full, "isn't empty"), (file, "isn't a directory"), ("../link", "link")):
        done = project.bundle("pull", "mine:0.1.0", str(target))
        assert (done.code, done.out) == (1, "")
        assert words in done.err
    assert contents(full) == {"mine.txt": b"precious"}
    assert file.read_text() == "precious"


@pytest.mark.parametrize("is_there", [True, False])
def test_nothing_is_left_of_a_pull_that_fails(
    project: Project, pushed: str, is_there: bool
) -> None:
    target = project.root.parent / "deep/copy"
    if is_there:
        target.mkdir(parents=True)
    before = sorted(project.root.parent.rglob("*"))
    layers = sorted(
        (project.registry / "mine/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size
    )
    layers[-1].write_bytes(b"x" * layers[-1].stat().st_size)
    done = project.bundle("pull", "mine:0.1.0", str(target))
    assert done.code == 1
    assert "it was altered" in done.err
    assert sorted(project.root.parent.rglob("*")) == before


@pytest.mark.parametrize("is_there", [True, False])
def test_nothing_is_left_of_a_pull_that_is_interrupted(
    project: Project, pushed: str, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = project.root.parent / "copy"
    if is_there:
        target.mkdir()
    before = sorted(project.root.parent.rglob("*"))
    rename = Path.rename

    def interrupted(self: Path, to: Path) -> Path:
        # The last moment at which something can be half done.
        if Path(to).name in ("copy", "model.py"):
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    done = project.bundle("pull", "mine:0.1.0", str(target))
    assert done.code == 130
    monkeypatch.undo()
    assert sorted(project.root.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("reference", "code", "words"),
    [
        ("mine:0.1.1", 4, "Did you mean `0.1.0`?"),
        (f"mine@sha256:{'0' * 64}", 4, "There is no bundle"),
        ("mine", 2, "neither a digest nor a tag"),
        ("mine@sha256:abc", 2, "repository@sha256:<64 hex digits>"),
        ("oci-layout:relative/mine:1", 2, "oci-layout:/absolute/path"),
    ],
)
def test_references_that_lead_nowhere(
    project: Project, pushed: str, reference: str, code: int, words: str
) -> None:
    done = project.bundle("pull", reference, "../copy")
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert not (project.root.parent / "copy").exists()


def test_without_a_registry_it_is_said_how_to_set_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELOPS_BUNDLE_REGISTRY")
    for command in (("pull", "mine:1"), ("list",), ("push",)):
        done = project.bundle(*command, "--env", "staging")
        assert (done.code, done.out) == (4, "")
        assert "mops registry up --env staging" in done.err
        assert "MODELOPS_BUNDLE_REGISTRY=oci://host" in done.err


def test_bundles_are_listed(project: Project, pushed: str) -> None:
    assert project.bundle("push", "--repository", "team/mine").code == 0
    (project.root / "model.py").write_text("def simulate(params, seed): return {'a': 1}\n")
    newer = project.bundle("push", "--json").json["digest"]
    done = project.bundle("list")
    assert [line.split() for line in done.out.splitlines()] == [
        ["REPOSITORY", "TAG", "DIGEST"],
        ["mine", "0.1.0", newer],
        ["mine", "<none>", pushed],
        ["team/mine", "0.1.0", pushed],
    ]
    listed = project.bundle("list", "team/mine", "--json").json
    bundle = {"tag": "0.1.0", "digest": pushed, "reference": f"team/mine@{pushed}"}
    assert listed == [{"repository": "team/mine", "bundles": [bundle]}]
    (sized,) = project.bundle("list", "team/mine", "--json", "--sizes").json[0]["bundles"]
    # The provenance beside it isn't part of it.
    blobs = project.registry / "team/mine/blobs/sha256"
    manifest = (blobs / pushed.removeprefix("sha256:")).read_bytes()
    parts = [json.loads(manifest)["config"], *json.loads(manifest)["layers"]]
    assert sized["size"] == len(manifest) + sum(part["size"] for part in parts)
    assert f"{sized['size']:,} B" in project.bundle("list", "team/mine", "--sizes").out


def test_what_holds_nothing_is_said(project: Project) -> None:
    done = project.bundle("list")
    assert (done.code, done.out) == (0, "REPOSITORY   TAG   DIGEST\n")
    assert "There is no bundle" in done.err
    assert project.bundle("list", "--json").json == []
    done = project.bundle("list", "none")
    assert (done.code, done.out) == (4, "")
    assert "There is no bundle in the repository none" in done.err
    assert project.bundle("list", "NONE").code == 2


def test_only_what_is_below_the_specs_prefix_is_listed(project: Project, pushed: str) -> None:
    project.bundle("push", "--repository", "team/mine")
    runtime = project.root / "runtime.yaml"
    text = runtime.read_text()
    runtime.write_text(text.replace("  algorithms:", "  registry: {prefix: team}\n  algorithms:"))
    assert [item["repository"] for item in project.bundle("list", "--json").json] == ["team/mine"]
    assert project.bundle("list", "mine").code == 0


def test_a_spec_that_isnt_there_is_an_error_if_it_was_named(project: Project) -> None:
    done = project.bundle("list", "-f", "none.yaml")
    assert done.code == 2
    assert "none.yaml" in done.err


HTML = (200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")


@pytest.mark.parametrize(
    "command",
    [("push",), ("pull", "mine:1", "../copy"), ("list",), ("list", "mine")],
    ids=lambda command: " ".join(command[:1]),
)
def test_a_login_page_names_the_login_command(
    project: Project, server: Answering, command: tuple[str, ...]
) -> None:
    server.answer("/", *HTML)
    done = project.bundle(*command)
    assert (done.code, done.out) == (1, "")
    assert "Authentication failed" in done.err
    assert f"docker login {server.host}" in done.err
    assert "JSON" not in done.err


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_registry_that_lists_no_repositories_says_what_to_do(
    project: Project, server: Answering, status: int
) -> None:
    server.answer("/v2/", 200, {}, b"{}")
    server.answer("/v2/_catalog", status, {}, b"{}")
    done = project.bundle("list")
    assert (done.code, done.out) == (1, "")
    assert "doesn't list its repositories" in done.err
    assert "mops bundle list REPOSITORY" in done.err


def test_pages_repositories_without_tags_and_circles(project: Project, server: Answering) -> None:
    digest = f"sha256:{'1' * 64}"
    catalog = {"repositories": ["b"]}, {"repositories": ["a"]}
    following = {"Link": '</v2/_catalog?last=b>; rel="next"'}
    server.answer("/v2/_catalog", 200, following, json.dumps(catalog[0]).encode())
    server.answer("/v2/_catalog?last=b", 200, {}, json.dumps(catalog[1]).encode())
    server.answer("/v2/a/tags/list", 200, {}, b'{"name": "a", "tags": null}')
    server.answer("/v2/b/tags/list", 200, {}, b'{"name": "b", "tags": ["1"]}')
    server.answer("/v2/b/manifests/1", 200, {"Docker-Content-Digest": digest}, b"")
    done = project.bundle("list")
    rows = [line.split() for line in done.out.splitlines()[1:]]
    assert rows == [["a", "<none>"], ["b", "1", digest]]
    assert project.bundle("list", "--json").json[0] == {"repository": "a", "bundles": []}
    assert project.bundle("list", "a").code == 4
    server.answer("/v2/", 200, {}, b"{}")
    server.answer("/v2/_catalog?last=b", 200, following, b"{}")
    done = project.bundle("list")
    assert done.code == 1
    assert "in a circle" in done.err


def test_code_that_cant_run_isnt_pushed(project: Project) -> None:
    project.write(model="def simulate(params): ...")
    done = project.bundle("push")
    assert (done.code, done.out) == (2, "")
    assert "can't be called with two arguments" in done.err
    assert not project.registry.exists()


def test_what_is_pulled_is_the_users_own_and_the_workers_cache_is_not_touched(
    project: Project, pushed: str
) -> None:
    assert project.bundle("pull", "mine:0.1.0", "../copy").code == 0
    assert not (project.root.parent / "modelops/cache/bundles").exists()
