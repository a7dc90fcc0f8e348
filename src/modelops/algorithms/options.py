"""Checks of an algorithm's own options, those keys of `parameters` that no one else reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelops.core.errors import AlgorithmError
from modelops.core.near_miss import did_you_mean


class OptionError(AlgorithmError, ValueError):
    """An option is unknown or its value is out of range.

    Also a ValueError, which is what the contract of algorithm factories names.
    """


@dataclass(frozen=True)
class Option:
    """What an option may be: a sentence for people, and the check."""

    allowed: str
    holds: Callable[[Any], bool]


def count(minimum: int = 0) -> Option:
    """Return an option that is a whole number of at least `minimum`."""
    return Option(
        f"a whole number from {minimum}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= minimum,
    )


def flag() -> Option:
    """Return an option that is true or false."""
    return Option("true or false", lambda value: isinstance(value, bool))


def share() -> Option:
    """Return an option that is a number from 0 to 1."""
    return Option("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)


def positive() -> Option:
    """Return an option that is a number above 0."""
    return Option("a number above 0", lambda value: _is_number(value) and value > 0)


def one_of(*choices: str) -> Option:
    """Return an option that is one of the texts."""
    return Option(f"one of {', '.join(choices)}", lambda value: value in choices)


def check_options(given: Mapping[str, Any], known: Mapping[str, Option], where: str) -> None:
    """Check names and values; `where` names the algorithm in the error.

    Raises:
        OptionError: that names what is allowed, and a near miss.
    """
    for name, value in given.items():
        if name not in known:
            raise OptionError(
                f"{where} has no option {name!r}; it has: {', '.join(known) or 'none'}.",
                hint=did_you_mean(name, known),
            )
        if not known[name].holds(value):
            raise OptionError(f"{where}: {name} is {value!r}; it must be {known[name].allowed}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
