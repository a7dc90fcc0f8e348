import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MODEL = "def simulate(params, seed):\n    return {'x': [params['a']]}\n"
TARGETS = (
    "from modelops.calibration import Target, target\n\n\n"
    "@target\ndef prevalence():\n    return Target(data={'x': [1]}, on='x', value='x')\n"
)

MakeBundle = Callable[..., Path]


@pytest.fixture
def no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without logins, and an environment without settings of the user's; returns it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in list(os.environ):
        if name.startswith(("MODELOPS_BUNDLE", "AZURE_", "XDG_", "DOCKER_", "REGISTRY_AUTH")):
            monkeypatch.delenv(name)
    return home


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Write a bundle; files given as name → content are added, None takes one away."""

    def make(files: Mapping[str, str | bytes | None] | None = None, directory: str = "sir") -> Path:
        root = tmp_path / directory
        manifest = {"name": "sir", "version": "1.0.0", "entrypoint": "model:simulate"}
        content: dict[str, str | bytes | None] = {
            "manifest.json": json.dumps(manifest),
            "model.py": MODEL,
            "targets.py": TARGETS,
            "data/observed.csv": "day,cases\n0,1\n",
            **(files or {}),
        }
        for name, text in content.items():
            if text is not None:
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode() if isinstance(text, str) else text)
        return root

    return make
