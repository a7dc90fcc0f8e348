"""An event loop in a thread of its own, for what goes on while other code runs."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

_Result = TypeVar("_Result")


class BackgroundLoop:
    """Runs coroutines until its block ends; then it cancels those that go on, and its thread ends.

    The thread is a daemon: a process that has to end doesn't wait for it.
    """

    def __init__(self, name: str) -> None:
        """Make it.

        Args:
            name: of the thread.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, _Result], seconds: float | None = None) -> _Result:
        """Run something to its end.

        Raises:
            TimeoutError: if that takes longer than `seconds`.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that goes on until it ends or the block does."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            # What they raise now is of no interest to anybody.
            with suppress(Exception):
                self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
