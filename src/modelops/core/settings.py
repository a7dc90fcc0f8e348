"""Where ModelOps keeps what is its own on this machine."""

import os
from dataclasses import dataclass
from pathlib import Path

from modelops.core.errors import HomeError


@dataclass(frozen=True)
class Home:
    """The folders under MODELOPS_HOME (default `~/.modelops`); the only place that names them."""

    root: Path

    @classmethod
    def current(cls) -> "Home":
        """Return the home that the environment names."""
        return cls(
            Path(os.environ.get("MODELOPS_HOME") or Path.home() / ".modelops")
            .expanduser()
            .absolute()
        )

    def make(self) -> None:
        """Make the home, for the user alone.

        Raises:
            HomeError: if it can't be made or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_writable = os.access(self.root, os.W_OK | os.X_OK)
        except OSError as error:
            raise HomeError(self.root, error.strerror or str(error)) from error
        if not is_writable:
            raise HomeError(self.root, "it can't be written")

    @property
    def pulumi_state(self) -> Path:
        """The default backend: the stacks' state."""
        return self.root / "pulumi"

    @property
    def pulumi_home(self) -> Path:
        """The engine's own folder (plugins, credentials of the file backend)."""
        return self.root / "pulumi-home"

    @property
    def passphrase_file(self) -> Path:
        """The passphrase that was made for the default backend, mode 0600."""
        return self.root / "passphrase"

    @property
    def encryption_salt_file(self) -> Path:
        """What the stacks' keys are derived with, beside that passphrase."""
        return self.root / "encryption-salt"

    @property
    def bundle_cache(self) -> Path:
        """Unpacked bundles, by digest."""
        return self.root / "cache" / "bundles"

    @property
    def environments(self) -> Path:
        """What bundles ask for, installed, and the installer's own cache."""
        return self.root / "cache" / "environments"

    @property
    def scratch(self) -> Path:
        """What commands need for as long as they run."""
        return self.root / "tmp"

    @property
    def push_memory(self) -> Path:
        """What earlier pushes found out: one file for each bundle's directory."""
        return self.root / "cache" / "push"

    @property
    def pushed_blobs(self) -> Path:
        """What registries got from this machine: one file for each registry."""
        return self.root / "cache" / "pushed"

    def env_folders(self) -> tuple[Path, ...]:
        """The folders that hold something for as long as an environment does."""
        return (self.root / "local", self.root / "secrets", self.root / "bundle-env")

    def shared_paths(self) -> tuple[Path, ...]:
        """What environments share, and nobody needs once the last of them is gone.

        The locks come last.
        """
        engine = (self.pulumi_state, self.pulumi_home)
        keys = (self.passphrase_file, self.encryption_salt_file)
        own = (self.root / "cache", self.scratch)
        return (*engine, *keys, *own, *self.env_folders(), self.root / "locks")

    def env_root(self, env: str) -> Path:
        """What the local provider keeps for one environment."""
        return self.root / "local" / env

    def secrets(self, env: str) -> Path:
        """The secrets of one environment, readable by the user alone: one file each.

        Those that a stack made are in the folder `stack` below.
        """
        return self.root / "secrets" / env

    def lock_file(self, env: str | None = None) -> Path:
        """What is locked while a command works on an environment, or on any of them."""
        return self.root / "locks" / (f"env-{env}" if env else "home")

    def bundle_env_file(self, env: str) -> Path:
        """The file that names the environment's bundle registry."""
        return self.root / "bundle-env" / f"{env}.yaml"
