"""What tests of environments start from: packages on this machine, bundles that ask for them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from modelops.environments import BundleEnvironment, EnvironmentCache
from wheels import write_wheel


class Machine:
    """A machine without network: a folder of wheels, and a cache of environments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.root = folder / "environments"
        self.wheels.mkdir()

    def cache(self, **index: str) -> EnvironmentCache:
        return EnvironmentCache(self.root, index=index)

    def wheel(self, name: str, version: str, *requires: str, **files: str) -> Path:
        """Write the wheel of a module that knows its version."""
        texts = {name: f"VERSION = {version!r}\n", **files}
        modules = {f"{module}.py": text for module, text in texts.items()}
        return write_wheel(self.wheels, name, version, modules, requires)

    def bundle(self, *requirements: str, name: str = "bundle", **files: str) -> Path:
        bundle = self.folder / name
        bundle.mkdir(exist_ok=True)
        (bundle / "model.py").write_text("")
        if requirements:
            (bundle / "requirements.txt").write_text("\n".join(requirements) + "\n")
        for file, text in files.items():
            (bundle / file.replace("_", ".")).write_text(text)
        return bundle

    def entries(self) -> list[Path]:
        """What environments there are; nothing else may be left there."""
        if not self.root.exists():
            return []
        others = (".lock", ".failure")
        return [p for p in self.root.iterdir() if p.name != "uv" and p.suffix not in others]


def offline_machine(folder: Path, patch: pytest.MonkeyPatch) -> Machine:
    """A machine whose uv can reach nothing but the wheels in a folder."""
    for name in list(os.environ):
        if name.startswith(("UV_", "MODELOPS_GIT_")):
            patch.delenv(name)
    machine = Machine(folder)
    # The settings of whoever runs the tests don't count either.
    patch.setenv("UV_NO_CONFIG", "1")
    patch.setenv("UV_OFFLINE", "1")
    patch.setenv("UV_FIND_LINKS", str(machine.wheels))
    return machine


def run_in(environment: BundleEnvironment, code: str) -> str:
    """Return what Python code prints in an environment, with its paths where ours go."""
    before = f"import sys; sys.path[:0] = {list(environment.paths)!r}\n"
    return subprocess.run(
        [environment.interpreter, "-P", "-c", before + code],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
