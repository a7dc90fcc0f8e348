"""The bundle's own functions, inside the child: imported once, called, their failures explained."""

import errno
import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelops.contracts import FailureReason, SimFailure
from modelops.core.errors import ModelOpsError

_MAX_MESSAGE = 2_000
_MAX_DETAILS = 16_000


class UserCodeError(Exception):
    """The bundle's code failed; `failure` is what people are told."""

    def __init__(self, failure: SimFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class UserCode:
    """The functions of one bundle, which is first on the path."""

    def __init__(self, bundle_dir: Path | str) -> None:
        self._bundle_dir = bundle_dir
        self._functions: dict[str, Callable[..., Any]] = {}

    def load(self, fn_ref: str) -> Callable[..., Any]:
        """Return the function that `module:function` names, imported at the first call.

        Raises:
            UserCodeError: with the reason BUNDLE.
        """
        if fn_ref not in self._functions:
            self._functions[fn_ref] = self._import(fn_ref)
        return self._functions[fn_ref]

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what the function returns; it may be ours, given what the bundle's code made.

        Raises:
            UserCodeError: with the reason MODEL, whatever the function raised, SystemExit too.
        """
        try:
            return function(*args)
        except BaseException as error:  # noqa: BLE001 - all that a model raises is its failure
            raise UserCodeError(self._explain(error)) from None

    def _import(self, fn_ref: str) -> Callable[..., Any]:
        module, _, qualified_name = fn_ref.partition(":")
        try:
            value: Any = importlib.import_module(module)
        except BaseException as error:  # noqa: BLE001 - a module may raise anything too
            failure = SimFailure(
                FailureReason.BUNDLE,
                f"The bundle's module {module!r} can't be imported: {_name(error)}",
                self._traceback(error),
            )
            raise UserCodeError(failure) from None
        for name in qualified_name.split("."):
            value = getattr(value, name, None)
        if not callable(value):
            found = "isn't a function" if value is not None else "doesn't exist"
            message = f"{fn_ref!r} {found}; check the entrypoint in manifest.json and registry.yaml"
            raise UserCodeError(SimFailure(FailureReason.BUNDLE, message))
        function: Callable[..., Any] = value
        return function

    def _explain(self, error: BaseException) -> SimFailure:
        if isinstance(error, SystemExit):
            code = "" if error.code is None else repr(error.code)
            message = f"the model called sys.exit({_shorten(code)})"
        elif isinstance(error, ModelOpsError):
            return SimFailure(FailureReason.MODEL, str(error))
        else:
            message = _name(error)
        return SimFailure(_reason(error), message, self._traceback(error))

    def _traceback(self, error: BaseException) -> str:
        """Return the traceback from the bundle's first frame on, with paths inside the bundle."""
        folder = f"{self._bundle_dir}/"
        report = traceback.TracebackException.from_exception(error)
        users = [frame.filename.startswith(folder) for frame in report.stack]
        first = users.index(True) if any(users) else len(users)
        report.stack = traceback.StackSummary.from_list(report.stack[first:])
        text = "".join(report.format()).replace(f'"{folder}', '"')
        return text if len(text) <= _MAX_DETAILS else f"…{text[-_MAX_DETAILS:]}"


def _reason(error: BaseException) -> FailureReason:
    if isinstance(error, MemoryError):
        return FailureReason.MEMORY
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return FailureReason.FILES
    return FailureReason.MODEL


def _name(error: BaseException) -> str:
    lines = traceback.TracebackException.from_exception(error).format_exception_only()
    return _shorten("".join(lines).strip())


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"
