"""Containers by runc: an image with a read-only root, as its own user, without capabilities."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MountedImage:
    """An image's root file system on this machine, and what the image says of how it runs."""

    root: Path
    config: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        """What the image runs if nothing else is said."""
        return [*self.config.get("Entrypoint", []), *self.config.get("Cmd", [])]


@contextmanager
def mounted(image: str) -> Iterator[MountedImage]:
    """Mount an image of buildah's store."""
    inspected = json.loads(_buildah("inspect", "--type", "image", image))
    container = _buildah("from", "--pull=never", "--name", f"test-{uuid.uuid4().hex}", image)
    try:
        root = Path(_buildah("mount", container))
        yield MountedImage(root, inspected["OCIv1"]["config"])
    finally:
        _buildah("rm", container)


class Container:
    """One container, in a network of its own that leads nowhere, or in that of another one."""

    def __init__(
        self,
        image: MountedImage,
        folder: Path,
        command: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        beside: Container | None = None,
    ) -> None:
        """Write the container's bundle to `folder`, with an empty volume for MODELOPS_HOME.

        Args:
            image: its root.
            folder: which is there already.
            command: instead of the image's own.
            env: beside the image's own.
            mounts: folders of this machine, and where the container has them, read-only.
            beside: the container whose network it is in.
        """
        self.name = f"modelops-test-{uuid.uuid4().hex}"
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        home = folder / "home"
        home.mkdir()
        user = int(image.config["User"].partition(":")[0])
        home.chmod(0o700)
        subprocess.run(["chown", image.config["User"], home], check=True)
        subprocess.run(["runc", "spec"], cwd=folder, check=True)
        spec = json.loads((folder / "config.json").read_text())
        spec["root"] = {"path": str(image.root), "readonly": True}
        process = spec["process"]
        process |= {
            "terminal": False,
            "user": {"uid": user, "gid": user},
            "cwd": image.config["WorkingDir"],
            "args": list(command or image.command),
            "env": [
                *image.config["Env"],
                *(f"{key}={value}" for key, value in (env or {}).items()),
            ],
            "noNewPrivileges": True,
            "capabilities": {kind: [] for kind in process["capabilities"]},
        }
        process.pop("rlimits", None)
        spec["mounts"] += [
            {
                "destination": "/tmp",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "nodev", "mode=1777"],
            },
            _bind(home, "/var/lib/modelops", "rw"),
            *(_bind(source, target, "ro") for source, target in (mounts or {}).items()),
        ]
        if beside is not None:
            for namespace in spec["linux"]["namespaces"]:
                if namespace["type"] == "network":
                    namespace["path"] = f"/proc/{beside.pid}/ns/net"
        (folder / "config.json").write_text(json.dumps(spec))

    def run(self) -> str:
        """Run to the end, and return what was written to both outputs."""
        done = subprocess.run(
            ["runc", "run", self.name],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @property
    def pid(self) -> int:
        """The process that is the container's first."""
        done = subprocess.run(
            ["runc", "state", self.name], capture_output=True, text=True, check=True
        )
        return int(json.loads(done.stdout)["pid"])

    @contextmanager
    def running(self) -> Iterator[Container]:
        """Run in the background, and be ended afterwards."""
        log = (self.folder / "log").open("wb")
        with log:
            subprocess.run(
                ["runc", "run", "--detach", self.name],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
        try:
            yield self
        finally:
            with suppress(subprocess.CalledProcessError):
                subprocess.run(["runc", "delete", "--force", self.name], check=True)

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "log").read_text()


def _bind(source: Path, target: str, mode: str) -> dict[str, Any]:
    return {
        "destination": target,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", mode],
    }


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
