"""Where the local provider keeps an environment's parts: the only place that names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelops.core.settings import Home


@dataclass(frozen=True)
class LocalLayout:
    """The folders of one environment, under the home that it belongs to."""

    home: Path
    root: Path

    @classmethod
    def of(cls, home: Home, env: str) -> Self:
        """Return the layout of an environment."""
        return cls(home.root, home.env_root(env))

    @property
    def registry(self) -> Path:
        """OCI image layouts, one a repository."""
        return self.root / "registry"

    def object_store(self, name: str) -> Path:
        """Return the folder of an object store."""
        return self.root / "objects" / name

    def database(self, name: str) -> Path:
        """Return the folder of a database."""
        return self.root / "databases" / name

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

    def data_directories(self) -> tuple[Path, ...]:
        """Return what `down` keeps and `down --delete-data` removes."""
        data = (self.root / "objects", self.root / "databases")
        return (self.registry, *data, self.processes, self.logs)
