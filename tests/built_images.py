"""The images, built on a base that needs no registry; kept until what they are made of changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "tools" / "images" / "build.py"
PLANTED = "planted-in-the-build-7f3a"
"""A secret of each of these builds, which no image may hold."""

BASE_VARIABLE = "MODELOPS_TEST_IMAGE_BASE"
"""The environment variable that names a base, for machines that are no Debian."""


@dataclass(frozen=True)
class BuiltImages:
    """What `make build` leaves in a folder, and in buildah's store."""

    folder: Path

    def digest(self, name: str) -> str:
        """The digest of an image's manifest."""
        return (self.folder / f"{name}.digest").read_text().strip()

    def layout(self, name: str) -> Path:
        """An image as an OCI layout."""
        return self.folder / name

    def image(self, name: str) -> str:
        """What buildah's store calls an image."""
        index = json.loads((self.layout(name) / "index.json").read_text())
        tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        return f"localhost/modelops-{name}:{tag}"


def what_is_missing() -> str:
    """Say what a build needs and isn't here; nothing if all is."""
    if os.geteuid() != 0:
        return "building images and running them with runc needs root"
    programs = ["buildah", "skopeo", "runc"]
    if BASE_VARIABLE not in os.environ:
        if "\nID=debian\n" not in Path("/etc/os-release").read_text():
            return f"the images' base is made of a machine's Debian: name another, {BASE_VARIABLE}"
        programs.append("debootstrap")
    missing = [name for name in programs if shutil.which(name) is None]
    return f"install the packages {' '.join(missing)}" if missing else ""


def build_images() -> BuiltImages:
    """Build all that a cluster runs; the test is skipped where it can't be, or fails in CI."""
    missing = what_is_missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    built = BuiltImages(ROOT / ".build" / "test-images")
    build(built)
    return built


def build(built: BuiltImages) -> str:
    """Build what has changed, and return what is said about it."""
    base = os.environ.get(BASE_VARIABLE, "debian")
    return images("build", built, "--base", base, "--revision", "test")


def images(action: str, built: BuiltImages, *options: str, **environ: str) -> str:
    """Run tools/images/build.py, and return what it prints."""
    done = subprocess.run(
        [sys.executable, BUILD, action, *options, "--tool", "buildah", "--out", built.folder],
        env={**os.environ, "UV_INDEX_PLANTED_PASSWORD": PLANTED, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout
