"""Where a bundle comes from: a referrer of its own, so that the digest depends on content alone.

Format: an in-toto Statement v1 with the predicate SLSA provenance v1, not signed. It's what whoever
pushed says; nothing proves it.
"""

import datetime
import getpass
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.git import git_state, git_user
from modelops.bundles.referrers import Referrer, find_referrers, read_layer, subject_of
from modelops.contracts import BundleRef, canonical_json
from modelops.core.errors import BundleError

PROVENANCE_TYPE = "application/vnd.in-toto+json"
"""The artifactType of the referrer, and the type of its layer."""
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
BUILD_TYPE = "urn:modelops:bundle-push:v1"
"""What `externalParameters` and `internalParameters` mean: docs/signing.md."""
BUILDER = "urn:modelops:mops"

_PREDICATE_ANNOTATION = "in-toto.io/predicate-type"
_MAX_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Provenance:
    """Who made a bundle of what, and when.

    Attributes:
        author: as git knows its user, else the name of the operating system's.
        time: when it was pushed, UTC.
        version: that of ModelOps.
        commit: that of git, or None if the directory wasn't in a repository.
        is_dirty: whether the directory had changes that weren't committed; None without a commit.
    """

    author: str
    time: datetime.datetime
    version: str
    commit: str | None = None
    is_dirty: bool | None = None

    @classmethod
    def of(cls, directory: Path, version: str, now: datetime.datetime) -> Self:
        """Return the provenance of what is pushed from a directory now; never fails for git."""
        state = git_state(directory)
        return cls(
            author=git_user(directory) or _os_user(),
            time=now.astimezone(datetime.UTC).replace(microsecond=0),
            version=version,
            commit=None if state is None else state.commit,
            is_dirty=None if state is None else state.is_dirty,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the provenance as JSON, for people and scripts."""
        return {
            "author": self.author,
            "time": _written(self.time),
            "version": self.version,
            "commit": self.commit,
            "is_dirty": self.is_dirty,
        }

    def statement(self, ref: BundleRef) -> bytes:
        """Return the in-toto statement about a bundle; the same for the same provenance."""
        built_from: list[Any] = (
            [] if self.commit is None else [{"digest": {"gitCommit": self.commit}}]
        )
        return canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [
                    {
                        "name": ref.repository,
                        "digest": {"sha256": ref.digest.removeprefix("sha256:")},
                    }
                ],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "buildDefinition": {
                        "buildType": BUILD_TYPE,
                        "externalParameters": {"repository": ref.repository},
                        "internalParameters": {"author": self.author, "isDirty": self.is_dirty},
                        "resolvedDependencies": built_from,
                    },
                    "runDetails": {
                        "builder": {"id": BUILDER, "version": {"modelops": self.version}},
                        "metadata": {"finishedOn": _written(self.time)},
                    },
                },
            }
        )

    @classmethod
    def parse(cls, data: bytes, ref: BundleRef) -> Self:
        """Read what `statement` wrote.

        Raises:
            BundleError: if it's something else, or about another bundle.
        """
        try:
            statement = json.loads(data)
            if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
                raise BundleError("It isn't a statement of SLSA provenance v1.")
            wanted = ref.digest.removeprefix("sha256:")
            if all(subject["digest"].get("sha256") != wanted for subject in statement["subject"]):
                raise BundleError("It is about something else than the bundle.")
            definition = statement["predicate"]["buildDefinition"]
            if definition["buildType"] != BUILD_TYPE:
                raise BundleError("ModelOps didn't write it.")
            details, own = statement["predicate"]["runDetails"], definition["internalParameters"]
            built_from = definition.get("resolvedDependencies") or [{"digest": {}}]
            commit = built_from[0]["digest"].get("gitCommit")
            return cls(
                author=_text(own["author"]),
                time=datetime.datetime.fromisoformat(details["metadata"]["finishedOn"]),
                version=_text(details["builder"]["version"]["modelops"]),
                commit=None if commit is None else _text(commit),
                is_dirty=None if commit is None else own["isDirty"] is True,
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            raise BundleError("It isn't the provenance of a bundle.") from None


def read_provenance(store: BundleStore, ref: BundleRef) -> Provenance | None:
    """Return where a bundle comes from; None if nothing that can be read says it.

    Raises:
        BundleError: if the bundle's referrers can't be listed.
    """
    for found in find_referrers(store, ref, PROVENANCE_TYPE):
        if found.manifest is None:
            continue
        try:
            data = read_layer(store, ref, found.manifest, PROVENANCE_TYPE, _MAX_BYTES)
            return Provenance.parse(data, ref)
        except BundleError:
            # Anybody may write a referrer, and other tools write statements of other kinds.
            continue
    return None


def write_provenance(store: BundleStore, ref: BundleRef, provenance: Provenance) -> bool:
    """Store where a bundle comes from, unless that is known; return whether it was stored.

    Raises:
        BundleError: if the bundle isn't there, or the store can't be read or written.
    """
    if read_provenance(store, ref) is not None:
        return False
    referrer = Referrer(
        artifact_type=PROVENANCE_TYPE,
        subject=subject_of(store, ref),
        content=provenance.statement(ref),
        media_type=PROVENANCE_TYPE,
        annotations={_PREDICATE_ANNOTATION: PREDICATE_TYPE},
    )
    store.push_referrer(ref, referrer)
    return True


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # No variable names one and the user id isn't in the password database, as in containers.
        return "unknown"


def _written(time: datetime.datetime) -> str:
    """Return a time as in-toto writes it (RFC 3339, `Z`)."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} isn't text")
    return value
