"""A Job is ready when it is complete; it fails when it has given up."""

from kubernetes_provider.api import Event
from kubernetes_provider.awaits.base import Await, FailedError
from kubernetes_provider.awaits.pods import full_name, pod_reasons
from kubernetes_provider.objects import at, conditions, is_owned
from kubernetes_provider.properties import Object

_FINAL = {"BackoffLimitExceeded", "DeadlineExceeded"}


class JobAwait(Await):
    """From the Job and its pods. What pods once said stays a reason, since failed ones may go."""

    KINDS = (("batch/v1", "Job"), ("v1", "Pod"))

    def __init__(self, item: Object, before: Object | None = None) -> None:
        super().__init__(item, before)
        self._reasons: dict[str, None] = {}

    def observe(self, event: Event) -> None:
        item = event.item
        if event.type == "DELETED":
            return
        if item["kind"] == "Pod" and is_owned(item, self.item):
            for reason in pod_reasons(item):
                self._reasons[reason] = None
                # Each pod of a job is unready for a while.
                if "containers with unready status" not in reason:
                    self.say(reason, "warning")
        elif self.is_itself(item):
            self.item = item
            self._tell_progress()
            if failure := job_failure(item):
                self._reasons[failure] = None
                raise FailedError

    @property
    def is_ready(self) -> bool:
        return is_complete(self.item)

    def reasons(self) -> list[str]:
        return list(self._reasons)

    def _tell_progress(self) -> None:
        status = self.item.get("status") or {}
        if not status.get("startTime"):
            self.say(f'Waiting for Job "{full_name(self.item)}" to start')
        elif not self.is_ready:
            counts = " | ".join(
                f"{name.capitalize()}: {status.get(name) or 0}"
                for name in ("active", "succeeded", "failed")
            )
            self.say(f'Waiting for Job "{full_name(self.item)}" to succeed ({counts})')


def is_complete(job: Object) -> bool:
    """Say whether a Job has succeeded."""
    started = at(job, "status", "startTime") is not None
    return started and at(conditions(job), "Complete", "status") == "True"


def job_failure(job: Object) -> str:
    """Return why a Job has given up; empty if it hasn't."""
    failed = conditions(job).get("Failed", {})
    if failed.get("status") != "True" or failed.get("reason") not in _FINAL:
        return ""
    return f"[{failed['reason']}] {failed.get('message', '')}"
