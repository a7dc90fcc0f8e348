"""Whether a Dask cluster can run bundles: one check for each thing that it takes."""

from dataclasses import dataclass

from modelops.contracts.canonical import JSONValue
from modelops.core.errors import ModelOpsError
from modelops.services.dask_check import ClusterCheck

_HEAL = "What died is healed by: mops workspace up"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: `scheduler`, `versions`, `workers` or `registry`.
        detail: what is worth a look when it's well.
        reason: why it isn't; empty if it is.
        hint: what to do then.
    """

    name: str
    detail: str = ""
    reason: str = ""
    hint: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether nobody has to do anything."""
        return not self.reason

    def to_json(self) -> dict[str, JSONValue]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "ok": self.is_ok,
            "detail": self.detail,
            "reason": self.reason,
            "hint": self.hint,
        }


def failed_connection(error: ModelOpsError) -> list[Check]:
    """Return the checks of a cluster that there is no connection to."""
    return [Check("scheduler", reason=error.message, hint=error.hint)]


def connection_checks(found: ClusterCheck, *, may_be_empty: bool) -> list[Check]:
    """Return what there is to say of a cluster that answers.

    Args:
        found: what it answered.
        may_be_empty: whether its groups of workers grow from nothing, so that none is well too.
    """
    versions = found.versions
    said = f"{found.address}, Dask {versions['distributed']}, Python {versions['python']}"
    return [
        Check("scheduler", said),
        _versions(found),
        _workers(found, may_be_empty=may_be_empty),
        _registry(found),
    ]


def _versions(found: ClusterCheck) -> Check:
    others = found.other_versions()
    return Check(
        "versions",
        "the same everywhere" if not others else "",
        "; ".join(others),
        "Install the same versions here and there. Workers take new ones when they are started: "
        "mops workspace down, mops workspace up"
        if others
        else "",
    )


def _workers(found: ClusterCheck, *, may_be_empty: bool) -> Check:
    count = len(found.workers)
    if count:
        return Check("workers", f"{count}, with {found.slots} slots in all")
    if may_be_empty:
        return Check("workers", "none now; they come when there is something to do")
    hint = f"See: mops workspace status, and the workers' logs: mops logs. {_HEAL}"
    return Check("workers", reason="none has registered with the scheduler", hint=hint)


def _registry(found: ClusterCheck) -> Check:
    if not found.workers:
        return Check("registry", "no worker is there to ask")
    unfit = [f"{worker.name}: {worker.problem}".replace("\n", " ") for worker in found.unfit]
    if unfit:
        hint = f"See: mops registry status, mops workspace status. {_HEAL}"
        return Check("registry", reason="; ".join(unfit), hint=hint)
    urls = ", ".join(sorted({worker.registry for worker in found.workers}))
    return Check("registry", f"every worker can read {urls}")
