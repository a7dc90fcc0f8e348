"""The engine and its workspaces: the only way to reach Pulumi's Automation API."""

import datetime
import functools
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, Self

from pulumi import automation as auto

# The mode is an argument of Stack's public constructor, but isn't exported.
from pulumi.automation._stack import StackInitMode
from semver import VersionInfo

from modelops.core.engine import EngineCommand
from modelops.core.errors import EngineError
from modelops.core.settings import Home

ENGINE_VERSION = "3.250.0"
"""The engine that is built, tested and installed; tools/go.mod pins the same."""

_PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@functools.cache
def find_engine() -> auto.PulumiCommand:
    """Return the engine: the one on PATH, else the one in our tool cache, else a fresh install.

    Raises:
        EngineError: if none can be had, with what was tried.
    """
    tried = []
    cached = tool_cache() / f"pulumi-v{ENGINE_VERSION}"
    if shutil.which("pulumi"):
        try:
            return EngineCommand(version=VersionInfo.parse(ENGINE_VERSION))
        except (auto.InvalidVersionError, OSError, SubprocessError, ValueError) as error:
            tried.append(f"the one on PATH: {error}")
    if (cached / "bin" / "pulumi").exists():
        return EngineCommand(root=str(cached), skip_version_check=True)
    tried.append(f"our tool cache: there is no {cached / 'bin' / 'pulumi'}")
    try:
        installed = auto.PulumiCommand.install(version=VersionInfo.parse(ENGINE_VERSION))
        root = str(Path(installed.command).parent.parent)
        return EngineCommand(root=root, skip_version_check=True)
    except Exception as error:  # noqa: BLE001 — it fails in any way that a download and a script can
        tried.append(f"an install: {error}")
    raise EngineError(
        "\n  ".join(["The Pulumi engine can't be had. Tried:", *tried]),
        hint=f"Install Pulumi {ENGINE_VERSION} or newer, or run: make setup",
    )


def tool_cache() -> Path:
    """Return the folder of the tools that `make setup` builds, one folder a version."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MODELOPS_TOOLS") or Path(base) / "modelops" / "tools").absolute()


class Stack(auto.Stack):
    """A stack whose operations leave out what their own events tell already.

    The Automation API asks the engine for outputs and history after each operation, which takes
    longer than a small operation itself; whoever uses this class reads them from the events.
    """

    @classmethod
    def open(cls, name: str, workspace: auto.LocalWorkspace) -> Self:
        """Return the stack of that name; it's made if need be."""
        return cls(name, workspace, StackInitMode.CREATE_OR_SELECT)

    @classmethod
    def find(cls, name: str, workspace: auto.LocalWorkspace) -> Self:
        """Return the stack of that name.

        Raises:
            StackNotFoundError: if there is none.
        """
        return cls(name, workspace, StackInitMode.SELECT)

    def outputs(self) -> dict[str, auto.OutputValue]:
        """Return nothing: the outputs come with the events."""
        return {}

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:
        """Return a summary without figures: those come with the events."""
        now = datetime.datetime.now(datetime.UTC)
        return auto.UpdateSummary("update", now, "", {}, {}, "succeeded")


def open_workspace(
    home: Home, project: str, work_dir: Path, program: Callable[[], Any] | None = None
) -> auto.LocalWorkspace:
    """Return a workspace: backend, passphrase, engine, the whole environment.

    The environment reaches the engine as it is (passphrase, passphrase file, cloud credentials),
    with our plugin on PATH. Without PULUMI_BACKEND_URL the backend is a folder under MODELOPS_HOME.
    """
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    backend = os.environ.get("PULUMI_BACKEND_URL")
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(_script_folder()), environment.get("PATH", "")])
    environment["PULUMI_SKIP_UPDATE_CHECK"] = "true"
    if backend is None:
        home.pulumi_state.mkdir(exist_ok=True)
        backend = home.pulumi_state.as_uri()
        # A user's own PULUMI_HOME holds credentials and plugins that other backends need.
        environment.setdefault("PULUMI_HOME", str(home.pulumi_home))
    environment |= _passphrase(home, environment)
    return auto.LocalWorkspace(
        work_dir=str(work_dir),
        program=program,
        env_vars=environment,
        pulumi_command=find_engine(),
        project_settings=auto.ProjectSettings(
            name=project, runtime="python", backend=auto.ProjectBackend(url=backend)
        ),
    )


def _passphrase(home: Home, environment: Mapping[str, str]) -> dict[str, str]:
    if any(environment.get(name) is not None for name in _PASSPHRASE_VARIABLES):
        return {}
    path = home.passphrase_file
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        try:
            # A link fails where the name is taken: of two first runs at once, one passphrase stays.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(path)}


def _script_folder() -> Path:
    """Return where `pulumi-resource-modelops` is installed: beside the interpreter that runs us."""
    return Path(sys.executable).parent
