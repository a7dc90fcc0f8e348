"""Which repositories of a registry got which large blobs from this machine.

A registry that has a blob in one repository can take it from there to another one ("mounting", OCI
distribution spec 1.1), which spares sending it. Who doesn't know where it is can't ask for that.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from filelock import FileLock

from modelops.bundles.artifact import Descriptor
from modelops.bundles.files import draft_beside
from modelops.core.settings import Home

LEAST_BYTES = 2**20
"""A smaller blob is sent as fast as it's asked for."""
_MOST_BLOBS = 2000


class PushedBlobs:
    """What this machine knows of one registry. It may be wrong, or be deleted at any time."""

    def __init__(self, host: str, home: Home | None = None) -> None:
        """Make it; nothing is read yet.

        Args:
            host: the registry's.
            home: where it's kept; without it, that of the environment.
        """
        name = hashlib.sha256(host.encode()).hexdigest()[:32]
        self._file = (home or Home.current()).pushed_blobs / f"{name}.json"

    def elsewhere(self, digest: str, path: str) -> str:
        """Return another repository than that at `path` that got the blob; empty for none."""
        known = self._read().get(digest)
        here = _repository(path)
        return known["repository"] if known and known["repository"] != here else ""

    def may_hold(self, size: int) -> bool:
        """Return whether a repository got a blob of this size, which may be the same."""
        return any(known["size"] == size for known in self._read().values())

    def note(self, blobs: Iterable[Descriptor], path: str) -> None:
        """Note that the repository at `path` has blobs; nothing happens if that can't be written.

        Of blobs that were noted long ago the first are forgotten.
        """
        repository = _repository(path)
        items = {
            blob.digest: {"size": blob.size, "repository": repository}
            for blob in blobs
            if blob.size >= LEAST_BYTES
        }
        known = self._read() if items else {}
        if all(known.get(digest) == item for digest, item in items.items()):
            return
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self._file.with_suffix(".lock")):
                known = {**self._read(), **items}
                for old in list(known)[:-_MOST_BLOBS]:
                    del known[old]
                draft = draft_beside(self._file)
                draft.write_text(json.dumps(known))
                draft.replace(self._file)
        except OSError:
            return

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return {
            digest: item
            for digest, item in (known.items() if isinstance(known, dict) else ())
            if isinstance(item, dict)
            and isinstance(item.get("size"), int)
            and isinstance(item.get("repository"), str)
        }


def _repository(path: str) -> str:
    return path.removeprefix("/v2/")
