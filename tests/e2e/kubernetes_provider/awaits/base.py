"""What every wait has: events in, readiness and reasons out. No input or output, and no clock."""

from typing import ClassVar

from kubernetes_provider.api import Event
from kubernetes_provider.objects import name_of
from kubernetes_provider.properties import Object


class FailedError(Exception):
    """The object won't become ready any more."""


class Await:
    """One object that is waited for, from what watches see of it and of what belongs to it."""

    KINDS: ClassVar[tuple[tuple[str, str], ...]] = ()
    """The kinds whose objects in the namespace are watched."""

    IS_CHECKED_ON_READ: ClassVar[bool] = True
    """Whether a refresh looks at its readiness too."""

    LONGEST_SECONDS: ClassVar[float] = float("inf")

    QUIET_SECONDS: ClassVar[float] = 0.0
    """How long it has to stay quiet before it counts as ready."""

    def __init__(self, item: Object, before: Object | None = None) -> None:
        self.item = item
        self.before = before
        self.is_quiet = True
        self._said: dict[tuple[str, str], bool] = {}

    @property
    def is_ready(self) -> bool:
        raise NotImplementedError

    def observe(self, event: Event) -> None:
        """Take an event of a watch.

        Raises:
            FailedError: if the object has failed for good.
        """
        raise NotImplementedError

    def reasons(self) -> list[str]:
        """Return why it isn't ready."""
        return []

    def timed_out(self) -> str:
        """Return what is said when it isn't ready in time."""
        return f"'{name_of(self.item)}' timed out waiting to be Ready"

    def finish(self) -> bool:
        """Say at the end of the time whether what there is will do."""
        return self.is_ready

    def say(self, message: str, severity: str = "info") -> None:
        """Have something said of the object while it's waited for, once."""
        self._said.setdefault((severity, message), False)

    def news(self) -> list[tuple[str, str]]:
        """Return what hasn't been said yet: severity and message."""
        new = [each for each, was_said in self._said.items() if not was_said]
        self._said |= dict.fromkeys(new, True)
        return new

    def is_itself(self, item: Object) -> bool:
        return item.get("kind") == self.item.get("kind") and name_of(item) == name_of(self.item)
