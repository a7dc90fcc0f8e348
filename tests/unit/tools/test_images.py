"""What `make build` and `make deploy` are made of: secrets of a build, its inputs, digests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / "tools" / "images"
NAMES = ("scheduler", "worker", "runner")

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason="needs the source folder's tools")


def python(script: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TOOLS), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def secrets(home: Path, folder: Path, **environ: str) -> dict[str, str]:
    script = (
        "import json, os, pathlib, index_access\n"
        f"found = index_access.index_secrets(pathlib.Path({str(folder)!r}), os.environ)\n"
        "print(json.dumps({name: str(path) for name, path in found.items()}))"
    )
    found: dict[str, str] = json.loads(python(script, HOME=str(home), **environ))
    return found


def test_an_index_is_reached_in_the_build_as_here(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "uv" / "uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    ca = tmp_path / "ca.crt"
    ca.write_text("")
    url = "https://user:it's a secret@index.example/simple"
    found = secrets(
        tmp_path, tmp_path, PIP_INDEX_URL=url, SSL_CERT_FILE=str(ca), PIP_FIND_LINKS="/here"
    )
    assert found["ca"] == str(ca)
    assert found["uv"] == str(config)
    script = Path(found["index"])
    assert script.stat().st_mode & 0o777 == 0o600
    done = subprocess.run(
        ["/bin/sh", "-c", f". {script}; env"], env={}, capture_output=True, text=True, check=True
    )
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert variables["PIP_INDEX_URL"] == url
    assert variables["SSL_CERT_FILE"] == variables["PIP_CERT"] == "/run/secrets/ca"
    assert "PIP_FIND_LINKS" not in variables


def test_a_build_gets_nothing_where_nothing_is_set(tmp_path: Path) -> None:
    found = secrets(tmp_path, tmp_path)
    assert {"index", "ca"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://user:token@git.example/team/mops.git", "https://git.example/team/mops"),
        ("git@git.example:team/mops.git", "https://git.example/team/mops"),
        ("/somewhere/here", ""),
        ("", ""),
    ],
)
def test_the_source_never_carries_a_login(tmp_path: Path, remote: str, source: str) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    if remote:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", remote], check=True)
    script = (
        f"import pathlib, inputs; inputs.ROOT = pathlib.Path({str(tmp_path)!r})\n"
        "print(inputs.source_url())"
    )
    assert python(script).strip() == source


def test_an_image_is_another_where_its_code_or_its_arguments_are(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "tests").mkdir()
    code, test = tmp_path / "src" / "a.py", tmp_path / "tests" / "a.py"
    code.write_text("1")
    test.write_text("1")

    def digest(name: str, version: str = "1") -> str:
        return python(
            f"import pathlib, inputs; inputs.ROOT = pathlib.Path({str(tmp_path)!r})\n"
            f"print(inputs.inputs_digest({name!r}, {{'VERSION': {version!r}}}))"
        )

    worker, tests = digest("worker"), digest("test")
    assert digest("worker") == worker
    assert digest("worker", "2") != worker
    test.write_text("2")
    assert digest("worker") == worker
    assert digest("test") != tests
    code.write_text("2")
    assert digest("worker") != worker


@pytest.fixture
def digests(tmp_path: Path) -> dict[str, str]:
    """What was pushed last, in `tmp_path / "built"`."""
    folder = tmp_path / "built"
    folder.mkdir()
    found = {name: f"sha256:{str(index) * 64}" for index, name in enumerate(NAMES)}
    for name, digest in found.items():
        (folder / f"{name}.digest").write_text(f"{digest}\n")
    return found


def pod(name: str, app: str, image: str, ready: str = "True") -> dict[str, object]:
    return {
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"containers": [{"image": image}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def verify(tmp_path: Path, *pods: dict[str, object]) -> subprocess.CompletedProcess[str]:
    listed = tmp_path / "pods.json"
    listed.write_text(json.dumps({"items": pods}))
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\ntest "$2" = modelops-dask-lab && cat {listed}\n')
    kubectl.chmod(0o755)
    command = [sys.executable, TOOLS / "deploy.py", "verify", "--env", "lab"]
    return subprocess.run(
        [*command, "--out", tmp_path / "built"],
        env={"PATH": os.environ["PATH"], "KUBECTL": str(kubectl)},
        capture_output=True,
        text=True,
        check=False,
    )


def reference(name: str, digest: str) -> str:
    return f"ghcr.io/modelops/modelops-{name}@{digest}"


def test_pods_with_what_was_pushed(tmp_path: Path, digests: dict[str, str]) -> None:
    scheduler = pod("s", "dask-scheduler", reference("scheduler", digests["scheduler"]))
    worker = pod("w", "dask-worker", reference("worker", digests["worker"]))
    done = verify(tmp_path, scheduler, worker)
    assert done.returncode == 0, done.stderr


def test_pods_with_something_else(tmp_path: Path, digests: dict[str, str]) -> None:
    old = "ghcr.io/modelops/modelops-worker:latest"
    ready = pod("w-1", "dask-worker", reference("worker", digests["worker"]), ready="False")
    done = verify(tmp_path, pod("w-0", "dask-worker", old), ready)
    assert done.returncode == 1
    assert f"w-0 has {old} instead of {reference('worker', digests['worker'])}" in done.stderr
    assert "w-1 isn't ready" in done.stderr
    assert "no pod of the scheduler" in done.stderr


def test_nothing_is_deployed_that_was_not_pushed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TOOLS / "deploy.py", "deploy", "--env", "lab", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "make build push" in done.stderr
