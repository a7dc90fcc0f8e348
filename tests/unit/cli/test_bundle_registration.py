"""`mops bundle register-model`, `register-target`, `unregister`, `refresh`."""

from pathlib import Path

import pytest

from modelops.bundles.registry_file import REGISTRY_FILE, read_registry
from unit.cli.bundle_commands import Project, project_fixture

__all__ = ["project_fixture"]

TARGETS = "@target\ndef a(): ...\n@target('second')\ndef b(): ...\n"
MODELS = "def run(params, seed): ...\ndef other(params, seed): ...\n"


def ids(project: Project) -> tuple[set[str], set[str]]:
    registry = read_registry(project.root)
    assert registry is not None
    return set(registry.models), set(registry.targets)


def test_marked_functions_are_registered_and_stale_ones_go(project: Project) -> None:
    project.write(more=TARGETS)
    done = project.bundle("register-target", "more.py")
    assert (done.code, done.out) == (0, "")
    assert "added target a (more:a)" in done.err
    assert "added target second (more:b)" in done.err
    project.write(more="@target\ndef c(): ...")
    done = project.bundle("register-target", "more.py", "--json", "--quiet")
    assert done.err == ""
    assert [entry["id"] for entry in done.json["added"]] == ["c"]
    assert done.json["removed"] == [
        {"kind": "target", "id": "a", "path": "more.py", "entrypoint": "more:a"},
        {"kind": "target", "id": "second", "path": "more.py", "entrypoint": "more:b"},
    ]
    assert ids(project)[1] == {"daily_cases", "c"}
    assert set(done.json["registry"]["targets"]) == {"daily_cases", "c"}


def test_functions_are_registered_by_name_under_an_id(project: Project) -> None:
    project.write(more=MODELS)
    assert project.bundle("register-model", "more.py:run").code == 0
    assert project.bundle("register-model", "more.py:other", "--id", "my model").code == 0
    assert ids(project)[0] == {"simulate", "run", "my model"}
    again = project.bundle("register-model", "more.py:other", "--id", "my model")
    assert "is as it was" in again.err


def test_the_bundle_is_found_from_the_file_and_nothing_is_imported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "deep").mkdir()
    (project.root / "deep/er.py").write_text("raise SystemExit(9)\n@model\ndef run(p, s): ...")
    monkeypatch.chdir(project.root.parent)
    assert project.bundle("register-model", "project/deep/er.py").code == 0
    monkeypatch.chdir(project.root / "data")
    assert project.bundle("register-model", "../deep/../deep/er.py", "--json").json["added"] == []
    registry = read_registry(project.root)
    assert registry is not None
    assert registry.models["run"].entrypoint == "deep.er:run"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("register-model", "none.py"), "has no file none.py"),
        (("register-model", "model.py:simulat"), "Did you mean `simulate`?"),
        (("register-model", "model.py"), "model.py:FUNCTION"),
        (("register-target", "targets.py", "--id", "x"), "targets.py:FUNCTION --id x"),
        (("register-target", "targets.py:"), "Write FILE:FUNCTION"),
        (("register-target", ":f"), "Write FILE:FUNCTION"),
        (("register-target", "/nowhere/targets.py"), "is in no bundle"),
        (("register-target", "model.py:simulate", "--id", "daily_cases"), "is taken by"),
        (("register-target", "model.py:simulate", "--id", " "), "can't be an id"),
        (("register-target",), "Missing argument"),
        (("unregister",), "Missing argument"),
        (("unregister", "daily_cases", "--kind", "models"), "--kind model or --kind target"),
        (("unregister", "daily_cases", "--bundle", "/"), "is in no bundle"),
    ],
)
def test_wrong_usage_exits_with_2_and_changes_nothing(
    project: Project, arguments: tuple[str, ...], words: str
) -> None:
    before = (project.root / REGISTRY_FILE).read_bytes()
    done = project.bundle(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert (project.root / REGISTRY_FILE).read_bytes() == before


def test_ids_are_unregistered_together_or_not_at_all(project: Project) -> None:
    project.write(more=TARGETS)
    project.bundle("refresh")
    done = project.bundle("unregister", "a", "daily_case")
    assert (done.code, done.out) == (4, "")
    assert "Did you mean `daily_cases`?" in done.err
    assert ids(project)[1] == {"a", "second", "daily_cases"}
    done = project.bundle("unregister", "a", "second", "simulate")
    assert done.code == 0
    assert "removed model simulate (model:simulate)" in done.err
    assert ids(project) == (set(), {"daily_cases"})


def test_an_id_of_both_kinds_needs_its_kind(project: Project) -> None:
    project.write(more="@target\ndef simulate(): ...")
    project.bundle("refresh")
    assert project.bundle("unregister", "simulate").code == 2
    assert project.bundle("unregister", "simulate", "--kind", "target").code == 0
    assert ids(project) == ({"simulate"}, {"daily_cases"})


def test_refresh_makes_the_registry_anew(project: Project) -> None:
    project.write(more=MODELS, goals="@target\ndef goal(): ...")
    project.bundle("register-model", "more.py:run")
    (project.root / "targets.py").unlink()
    done = project.bundle("refresh", "data", "--json")
    assert done.code == 0
    assert [entry["id"] for entry in done.json["added"]] == ["goal"]
    assert [entry["id"] for entry in done.json["removed"]] == ["daily_cases"]
    assert ids(project) == ({"simulate", "run"}, {"goal"})


def test_refresh_keeps_a_registry_that_it_cant_read_beside_the_new_one(project: Project) -> None:
    path: Path = project.root / REGISTRY_FILE
    path.write_text("models: [")
    project.write(broken="@target\ndef f(:")
    assert project.bundle("refresh").code == 2
    assert path.read_text() == "models: ["
    (project.root / "broken.py").unlink()
    done = project.bundle("refresh")
    assert done.code == 0
    assert "registry.yaml:1:10: this isn't YAML" in done.err
    assert "registry.yaml.broken" in done.err
    assert path.with_name("registry.yaml.broken").read_text() == "models: ["
    assert ids(project) == ({"simulate"}, {"daily_cases"})


def test_all_files_that_cant_be_read_are_named_at_once(project: Project) -> None:
    project.write(a="@target\ndef f(:", b="@target\ndef f(:", c=TARGETS)
    before = (project.root / REGISTRY_FILE).read_bytes()
    done = project.bundle("refresh")
    assert done.code == 2
    for name in ("a.py:2:7", "b.py:2:7"):
        assert name in done.err
    assert (project.root / REGISTRY_FILE).read_bytes() == before
