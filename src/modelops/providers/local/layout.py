"""Where the local provider keeps an environment's parts: the only place that names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelops.core.settings import Home


@dataclass(frozen=True)
class LocalLayout:
    """The folders of one environment, under the home that it belongs to.

    `users_secrets` has what `mops secrets` stores, and `secrets` is where stacks put keys and
    passwords: one file each, readable by the user alone.
    """

    home: Path
    root: Path
    users_secrets: Path

    @classmethod
    def of(cls, home: Home, env: str) -> Self:
        """Return the layout of an environment."""
        return cls(home.root, home.env_root(env), home.secrets(env))

    @property
    def secrets(self) -> Path:
        """What stacks keep secret."""
        return self.users_secrets / "stack"

    @property
    def registry(self) -> Path:
        """OCI image layouts, one a repository."""
        return self.root / "registry"

    @property
    def registry_data(self) -> Path:
        """What a registry process keeps: blobs and tags, in a form of its own."""
        return self.root / "registry-data"

    def object_store(self, name: str) -> Path:
        """Return the folder of an object store."""
        return self.root / "objects" / name

    def database(self, name: str) -> Path:
        """Return the folder of a database."""
        return self.root / "databases" / name

    @property
    def authority(self) -> Path:
        """The workspace's CA, with its key."""
        return self.secrets / "workspace-ca"

    @property
    def dask_certificate(self) -> Path:
        """What whoever is in the Dask cluster shows, with its key."""
        return self.secrets / "dask"

    @property
    def processes(self) -> Path:
        """One folder for each process: lock, exit record, files that it was given."""
        return self.root / "processes"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.root / "logs"

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def stack_secret(self, name: str) -> Path:
        """Return the file of a secret that a stack makes."""
        return self.secrets / name

    def user_secret(self, name: str) -> Path:
        """Return the file of a secret that a person set."""
        return self.secrets.parent / name

    def data_directories(self) -> tuple[Path, ...]:
        """Return what `down` keeps and `down --delete-data` removes."""
        data = (self.root / "objects", self.root / "databases")
        return (self.registry, self.registry_data, *data, self.processes, self.logs, self.secrets)


def rotated(log: Path) -> Path:
    """Return where a log is kept once it has grown too large."""
    return log.with_name(f"{log.name}.1")
