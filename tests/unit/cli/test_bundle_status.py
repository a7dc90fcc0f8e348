"""`mops bundle status`."""

import json

import pytest
import stamina

from modelops.bundles.registry_file import REGISTRY_FILE
from unit.cli.bundle_commands import Called, Project, project_fixture

__all__ = ["project_fixture"]


def push_state(done: Called) -> str:
    state: str = done.json["push"]["state"]
    return state


def states(done: Called) -> dict[str, str]:
    return {entry["id"]: entry["state"] for entry in done.json["entries"]}


def test_a_push_is_never_made_then_up_to_date_then_behind(project: Project) -> None:
    new = project.bundle("status", "--json")
    assert (new.code, push_state(new)) == (0, "never")
    assert new.json["push"]["reference"] == "mine:0.1.0"
    assert project.bundle("status", "--exit-code").code == 3
    pushed = project.bundle("push", "--json").json
    done = project.bundle("status", "data", "--json", "--exit-code")
    assert (done.code, push_state(done)) == (0, "up_to_date")
    assert done.json["digest"] == done.json["push"]["digest"] == pushed["digest"]
    model = project.root / "model.py"
    text = model.read_text()
    model.write_text(text + "\n# changed\n")
    done = project.bundle("status", "--json", "--exit-code")
    assert (done.code, push_state(done)) == (3, "changed")
    assert done.json["push"]["digest"] == pushed["digest"] != done.json["digest"]
    project.bundle("push")
    model.write_text(text)
    done = project.bundle("status", "--json", "--exit-code")
    assert (done.code, push_state(done)) == (3, "tag_moved")


def test_it_is_shown_in_words(project: Project) -> None:
    done = project.bundle("status")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("mine 0.1.0   sha256:")
    assert [line.split() for line in lines[1:-1]] == [
        ["KIND", "ID", "FUNCTION", "STATE"],
        ["model", "simulate", "model:simulate", "registered"],
        ["target", "daily_cases", "targets:daily_cases", "registered"],
    ]
    assert lines[-1] == f"mine:0.1.0 in oci-layout://{project.registry}: never pushed"
    assert "mops bundle push" in done.err
    assert project.bundle("status", "--quiet").err == ""


def test_the_specs_prefix_and_a_repository_are_where_push_puts_it(project: Project) -> None:
    runtime = project.root / "runtime.yaml"
    text = runtime.read_text()
    runtime.write_text(text.replace("  algorithms:", "  registry: {prefix: team}\n  algorithms:"))
    project.bundle("push")
    assert push_state(project.bundle("status", "--json")) == "up_to_date"
    assert push_state(project.bundle("status", "--json", "--repository", "mine")) == "never"


def test_what_is_gone_or_not_registered_is_shown(project: Project) -> None:
    project.write(gone="@target\ndef a(): ...", more="@target\ndef b(): ...")
    project.bundle("register-target", "gone.py")
    project.bundle("register-target", "more.py")
    (project.root / "gone.py").unlink()
    project.write(more="@target\ndef c(): ...")
    project.bundle("push")
    done = project.bundle("status")
    assert done.code == 0
    assert "stale: the file gone.py is gone" in done.out
    assert "more.py has no b" in done.out
    assert "mops bundle refresh" in done.err
    done = project.bundle("status", "--json", "--exit-code")
    assert done.code == 3
    assert states(done) == {
        "simulate": "registered",
        "daily_cases": "registered",
        "a": "stale",
        "b": "stale",
        "c": "not_registered",
    }
    project.bundle("refresh")
    assert set(states(project.bundle("status", "--json")).values()) == {"registered"}


def test_without_a_registry_file_the_codes_marks_count(project: Project) -> None:
    (project.root / REGISTRY_FILE).unlink()
    assert set(states(project.bundle("status", "--json")).values()) == {"marked"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "has no bundle registry"),
        # Nobody listens there.
        ("oci://127.0.0.1:9", "can't be used"),
        ("https://ghcr.io", "isn't a bundle registry"),
    ],
)
def test_a_registry_that_cant_be_asked_is_said(
    project: Project, monkeypatch: pytest.MonkeyPatch, address: str | None, words: str
) -> None:
    if address is None:
        monkeypatch.delenv("MODELOPS_BUNDLE_REGISTRY")
    else:
        monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", address)
    with stamina.set_testing(True):  # no waiting between tries
        shown = project.bundle("status")
        done = project.bundle("status", "--json", "--exit-code")
    assert shown.code == 0
    assert "whether it was pushed isn't known" in shown.out
    assert words in shown.err
    assert (done.code, push_state(done)) == (1, "unknown")
    assert words in done.json["push"]["problem"]
    done = project.bundle("status", "--json", "--exit-code", "--offline")
    assert (done.code, done.json["push"]) == (0, None)


def test_all_that_is_broken_is_said_and_the_rest_is_shown(project: Project) -> None:
    (project.root / REGISTRY_FILE).unlink()
    project.write(a="@target\ndef f(:", b="@target\ndef g(:", model="def other(params, seed): ...")
    done = project.bundle("status", "--json")
    assert done.code == 2
    assert done.json["digest"] is None
    assert states(done)["daily_cases"] == "marked"
    problems = "\n".join(done.json["problems"])
    for words in ("a.py:2:7", "b.py:2:7", "model.py has no simulate"):
        assert words in problems
        assert words in done.err


def test_a_bundle_that_cant_be_packed_is_said(project: Project) -> None:
    (project.root / "link").symlink_to("model.py")
    done = project.bundle("status")
    assert done.code == 2
    assert "link: a symbolic link" in done.err


def test_outside_of_a_bundle_it_is_wrong_usage(project: Project) -> None:
    done = project.bundle("status", str(project.root.parent))
    assert (done.code, done.out) == (2, "")
    assert "is in no bundle" in done.err


def test_the_manifest_decides_the_tag(project: Project) -> None:
    path = project.root / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "2.0+local"}))
    assert project.bundle("status", "--json").json["push"]["reference"] == "mine:2.0_local"
