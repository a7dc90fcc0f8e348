"""Telling what a stack that is brought up waits for, as its provider sees it."""

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import indent

from modelops.core.background import start
from modelops.core.errors import EngineError, ModelOpsError
from modelops.providers.base import ProviderPlugin, SeesTroubles, StackPlan

_SECONDS = 3.0
# How long the end of an operation that failed waits for a last look.
_LAST_LOOK_SECONDS = 10.0


@contextmanager
def watching(
    provider: ProviderPlugin, stack: StackPlan, on_step: Callable[[str], None]
) -> Iterator[None]:
    """Tell what keeps parts from being ready while the block brings a stack up.

    What is seen twice in a row is told, once; what the block fails with says it too.
    """
    if not isinstance(provider, SeesTroubles):
        yield
        return
    watch = _Watch(provider, stack, on_step)
    thread = threading.Thread(target=watch.run, name="troubles", daemon=True)
    thread.start()
    try:
        yield
    except EngineError as error:
        raise watch.explained(error) from error
    finally:
        watch.ended.set()


class _Watch:
    def __init__(
        self, provider: SeesTroubles, stack: StackPlan, on_step: Callable[[str], None]
    ) -> None:
        self.ended = threading.Event()
        self._provider, self._stack, self._on_step = provider, stack, on_step
        self._since = datetime.datetime.now(datetime.UTC)

    def run(self) -> None:
        told: set[str] = set()
        before: set[str] = set()
        while not self.ended.wait(_SECONDS):
            now = self._look()
            for line in now:
                if line in before and line not in told and not self.ended.is_set():
                    told.add(line)
                    self._on_step(line)
            before = set(now)

    def explained(self, error: EngineError) -> EngineError:
        """Return the error with what is in the way now."""
        look = start(self._look)
        try:
            lines = look.result(timeout=_LAST_LOOK_SECONDS)
        except TimeoutError:
            return error
        missing = [line for line in lines if line not in error.message]
        if not missing:
            return error
        text = "\n".join([error.message, *(indent(line, "  ") for line in missing)])
        return EngineError(text, hint=error.hint)

    def _look(self) -> tuple[str, ...]:
        try:
            return self._provider.troubles(self._stack, self._since)
        except ModelOpsError as error:
            return (error.message,)
