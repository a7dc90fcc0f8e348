"""Decorators that mark a bundle's functions. They change nothing about the function."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

MODEL_MARK = "__modelops_model__"
"""The attribute of a function marked as a model; its value is the model's id."""

TARGET_MARK = "__modelops_target__"
"""The attribute of a function marked as a target; its value is the target's id."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@overload
def model(id: _Function) -> _Function: ...
@overload
def model(id: str | None = None) -> Callable[[_Function], _Function]: ...
def model(id: Any = None) -> Any:  # noqa: A002 — the word of registry.yaml
    """Mark a function as a model: `@model`, `@model("id")`; without an id it's the name."""
    return _mark(id, MODEL_MARK)


@overload
def target(id: _Function) -> _Function: ...
@overload
def target(id: str | None = None) -> Callable[[_Function], _Function]: ...
def target(id: Any = None) -> Any:  # noqa: A002 — as for model
    """Mark a function that returns a `Target`: `@target`, `@target("id")`, as for `model`."""
    return _mark(id, TARGET_MARK)


def _mark(function_or_id: Any, mark: str) -> Any:
    if callable(function_or_id):
        setattr(function_or_id, mark, function_or_id.__name__)
        return function_or_id

    def decorate(function: _Function) -> _Function:
        setattr(function, mark, function_or_id or function.__name__)
        return function

    return decorate
