"""The engine and its workspaces: the only way to reach Pulumi's Automation API."""

import datetime
import functools
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, Self

from pulumi import automation as auto

# The mode is an argument of Stack's public constructor, but isn't exported.
from pulumi.automation._stack import StackInitMode
from semver import VersionInfo

from modelops.core.engine import EngineCommand
from modelops.core.errors import EngineError
from modelops.core.passphrase import passphrase_environment, shared_salt
from modelops.core.settings import Home
from modelops.core.shared_plugins import ATTACH_VARIABLE, attachments, script_folder
from modelops.core.tools import tool_cache

ENGINE_VERSION = "3.250.0"
"""The engine that is built, tested and installed; tools/go.mod pins the same."""

# An engine that was killed, which is told as such, has also hung up.
warnings.filterwarnings("ignore", message="Error in event stream", category=UserWarning)


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
        version = VersionInfo.parse(ENGINE_VERSION)
        return EngineCommand.of_version(cached / "bin" / "pulumi", version)
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


class Stack(auto.Stack):
    """A stack whose operations leave out what their own events tell already.

    The Automation API asks the engine for outputs and history after each operation, which takes
    longer than a small operation itself; whoever uses this class reads them from the events.
    """

    def __init__(self, name: str, workspace: auto.LocalWorkspace) -> None:
        # The Automation API selects a stack first, which every operation does again. If there is
        # none of that name, the operations raise StackNotFoundError.
        self.name = name
        self.workspace = workspace
        self._mode = StackInitMode.SELECT
        self._further_arguments: tuple[str, ...] = ()

    @classmethod
    def make(cls, name: str, workspace: auto.LocalWorkspace) -> Self:
        """Make a stack and return it.

        Raises:
            StackAlreadyExistsError: if there is one of that name.
        """
        workspace.create_stack(name)
        return cls(name, workspace)

    def destroy_and_remove(self, on_event: Callable[[auto.EngineEvent], object]) -> None:
        """Delete the stack's resources and the stack, in one operation of the engine.

        The Automation API would start the engine once more to remove the stack.

        Raises:
            CommandError: if it failed; what isn't deleted is still in the stack.
        """
        self._further_arguments = ("--remove",)
        try:
            self.destroy(on_event=on_event)
        finally:
            self._further_arguments = ()

    def _run_pulumi_cmd_sync(
        self,
        args: list[str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> auto.CommandResult:
        return super()._run_pulumi_cmd_sync([*args, *self._further_arguments], on_output, on_error)

    def outputs(self) -> dict[str, auto.OutputValue]:
        """Return nothing: the outputs come with the events."""
        return {}

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:
        """Return a summary without figures: those come with the events."""
        now = datetime.datetime.now(datetime.UTC)
        return auto.UpdateSummary("update", now, "", {}, {}, "succeeded")


def open_workspace(
    home: Home,
    project: str,
    work_dir: Path,
    program: Callable[[], Any] | None = None,
    stack: str | None = None,
) -> auto.LocalWorkspace:
    """Return a workspace: backend, passphrase, engine, the whole environment.

    The environment reaches the engine as it is (passphrase, passphrase file, cloud credentials),
    with our plugin on PATH. Without PULUMI_BACKEND_URL the backend is a folder under MODELOPS_HOME.
    `stack` names the stack that it's opened for, if it's for one.
    """
    home.make()
    backend = os.environ.get("PULUMI_BACKEND_URL")
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(script_folder()), environment.get("PATH", "")])
    environment["PULUMI_SKIP_UPDATE_CHECK"] = "true"
    if running := attachments():
        environment[ATTACH_VARIABLE] = running
    if backend is None:
        home.pulumi_state.mkdir(exist_ok=True, mode=0o700)
        # Without the files of metadata beside it a state is replaced by one rename. Those are
        # written in place, and an engine that reads another's state meanwhile (a StackReference)
        # found one of them empty.
        backend = f"{home.pulumi_state.as_uri()}?metadata=skip"
        # A user's own PULUMI_HOME holds credentials and plugins that other backends need.
        environment.setdefault("PULUMI_HOME", str(home.pulumi_home))
    environment |= passphrase_environment(home, environment)
    workspace = auto.LocalWorkspace(
        work_dir=str(work_dir),
        program=program,
        env_vars=environment,
        pulumi_command=find_engine(),
        project_settings=auto.ProjectSettings(
            name=project, runtime="python", backend=auto.ProjectBackend(url=backend)
        ),
    )
    salt = shared_salt(home, environment)
    if stack is not None and salt is not None:
        workspace.save_stack_settings(stack, auto.StackSettings(encryption_salt=salt))
    return workspace
