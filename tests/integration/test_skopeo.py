"""Other people's tool for OCI artifacts takes ours both ways, with the same digest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles.artifact import ARTIFACT_TYPE, CONFIG_MEDIA_TYPE
from modelops.bundles.cache import BundleCache
from modelops.bundles.packing import OWN_LAYER_BYTES, pack
from modelops.bundles.stores import open_store
from modelops.bundles.template import create_bundle

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture"]


@pytest.fixture(scope="module")
def skopeo() -> str:
    """The program; tests that need it are skipped without it, or fail in CI."""
    found = shutil.which("skopeo")
    if found is None:
        reason = "there is no skopeo on PATH: install the package skopeo"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "sir"
    create_bundle(root, "sir")
    (root / "data/large.bin").write_bytes(b"0123456789abcdef" * (OWN_LAYER_BYTES // 8))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


def contents(root: Path) -> dict[Path, tuple[bytes, bool]]:
    return {
        path.relative_to(root): (path.read_bytes(), os.access(path, os.X_OK))
        for path in root.rglob("*")
        if path.is_file()
    }


def run(skopeo: str, *arguments: str) -> str:
    done = subprocess.run([skopeo, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy(skopeo: str, source: str, target: str) -> None:
    run(
        skopeo,
        *("copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(source, target),
    )


def test_from_a_registry_to_a_layout_and_back(
    skopeo: str, oci_registry: RegistryProcess, bundle: Path, tmp_path: Path
) -> None:
    packed = pack(bundle)
    registry = open_store(f"oci://{oci_registry.host}")
    ref = registry.push("team/sir", packed)
    source = f"docker://{oci_registry.host}/team/sir"

    raw = run(skopeo, "inspect", "--raw", "--tls-verify=false", f"{source}@{ref.digest}")
    assert raw.encode() == packed.manifest
    manifest = json.loads(raw)
    assert manifest["artifactType"] == ARTIFACT_TYPE
    assert manifest["config"]["mediaType"] == CONFIG_MEDIA_TYPE

    layouts = tmp_path / "layouts"
    layouts.mkdir()
    copy(skopeo, f"{source}@{ref.digest}", f"oci:{layouts / 'sir'}:0.1.0")
    layout = open_store(f"oci-layout://{layouts}")
    assert layout.resolve("sir", "0.1.0").digest == ref.digest
    tree = BundleCache(tmp_path / "from-layout").fetch(layout.resolve("sir", "0.1.0"), layout)
    assert contents(tree) == contents(bundle)

    copy(skopeo, f"oci:{layouts / 'sir'}:0.1.0", f"docker://{oci_registry.host}/back:0.1.0")
    back = registry.resolve("back", "0.1.0")
    assert back.digest == ref.digest
    assert contents(BundleCache(tmp_path / "back").fetch(back, registry)) == contents(bundle)


def test_from_a_layout_of_ours_to_a_registry(
    skopeo: str, oci_registry: RegistryProcess, bundle: Path, tmp_path: Path
) -> None:
    layouts = tmp_path / "layouts"
    ref = open_store(f"oci-layout://{layouts}").push("sir", pack(bundle))
    copy(skopeo, f"oci:{layouts / 'sir'}:0.1.0", f"docker://{oci_registry.host}/team/sir:0.1.0")
    registry = open_store(f"oci://{oci_registry.host}/team")
    found = registry.resolve("sir", "0.1.0")
    assert found.digest == ref.digest
    assert contents(BundleCache(tmp_path / "cache").fetch(found, registry)) == contents(bundle)
