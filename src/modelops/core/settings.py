"""Where ModelOps keeps what is its own on this machine."""

import os
from dataclasses import dataclass
from pathlib import Path


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
    def bundle_cache(self) -> Path:
        """Unpacked bundles, by digest."""
        return self.root / "cache" / "bundles"

    def env_root(self, env: str) -> Path:
        """What the local provider keeps for one environment."""
        return self.root / "local" / env

    def bundle_env_file(self, env: str) -> Path:
        """The file that names the environment's bundle registry."""
        return self.root / "bundle-env" / f"{env}.yaml"
