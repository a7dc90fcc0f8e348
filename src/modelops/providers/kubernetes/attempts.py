"""How often a run was begun anew: a Job that failed stays as it is, and `up` has to replace it."""

from collections.abc import Mapping
from typing import Any

from modelops.providers.kubernetes.cluster import api

ATTEMPT = "modelops/attempt"
"""Annotation of a run's pods, counted from 1: a Job whose pods change is replaced."""


def attempt_of(job: Mapping[str, Any] | None) -> int:
    """Return the attempt that a run's Job is to be: the one it is, or the next if that failed.

    Args:
        job: the Job as the API has it; None if there is none.
    """
    if job is None:
        return 1
    annotations = job["spec"]["template"].get("metadata", {}).get("annotations") or {}
    now = int(annotations.get(ATTEMPT, 1))
    conditions = job.get("status", {}).get("conditions") or ()
    has_failed = any(each["type"] == "Failed" and each["status"] == "True" for each in conditions)
    return now + 1 if has_failed else now


def next_attempt(properties: Mapping[str, Any], name: str) -> int:
    """Ask the cluster for a run's Job and return which attempt it is to be.

    Args:
        properties: those that every component of the provider has (`Settings.common`).
        name: the Job's.

    Raises:
        ProviderError: if the cluster can't be asked.
    """
    import kr8s  # noqa: PLC0415 — it takes long

    with api(properties) as asked:
        found = kr8s.get("jobs.batch", name, namespace=properties["namespace"], api=asked, raw=True)
        try:
            return attempt_of(next(iter(found), None))
        except kr8s.NotFoundError:
            return attempt_of(None)
