"""`mops dev images`: what is printed, and that a shell takes it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from modelops.cli.main import main
from modelops.images import get_image_config

PINNED = f"registry.example.com/team/worker@sha256:{'b' * 64}"


@pytest.fixture(autouse=True)
def _plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("MODELOPS_IMAGES") or name.endswith("_IMAGE"):
            monkeypatch.delenv(name)


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(["dev", "images", *arguments])
    return int(exited.value.code or 0)


def test_one_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("print", "worker") == 0
    assert capsys.readouterr().out == "ghcr.io/modelops/modelops-worker:latest\n"


def test_all_images_of_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("print", "--all", "--profile", "dev") == 0
    assert capsys.readouterr().out.splitlines() == [
        "scheduler=localhost:5000/modelops/modelops-scheduler:dev",
        "worker=localhost:5000/modelops/modelops-worker:dev",
        "runner=localhost:5000/modelops/modelops-runner:dev",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("print", "runner", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "runner": "ghcr.io/modelops/modelops-runner:latest"
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("print",), "Name one image, or all of them with --all"),
        (("print", "worker", "--all"), "Name one image, or all of them with --all"),
        (("print", "wroker"), "Did you mean `worker`?"),
        (("print", "worker", "--profile", "production"), "There are: dev, prod"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    assert message in capsys.readouterr().err


def test_what_is_exported_names_the_same_images_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELOPS_WORKER_IMAGE", PINNED)
    assert call("export-env", "--profile", "dev") == 0
    script = capsys.readouterr().out
    done = subprocess.run(
        ["/bin/sh", "-c", f"{script} env"], env={}, capture_output=True, text=True, check=True
    )
    environ = dict(line.split("=", 1) for line in done.stdout.splitlines())
    # The default is another profile; what is named in full goes before it.
    config = get_image_config(environ=environ)
    assert config.profile == "prod"
    assert config.worker_image() == PINNED
    assert config.runner_image() == "localhost:5000/modelops/modelops-runner:dev"
    assert config.scheduler_image() == "localhost:5000/modelops/modelops-scheduler:dev"


def test_exported_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("export-env", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) == {
        "MODELOPS_SCHEDULER_IMAGE",
        "MODELOPS_WORKER_IMAGE",
        "MODELOPS_RUNNER_IMAGE",
    }
