"""Work that is begun and waited for only as long as its result is wanted."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def start(work: Callable[[], _Result]) -> Future[_Result]:
    """Begin work in a thread that nobody has to wait for, not even the end of the process."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 — it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future
