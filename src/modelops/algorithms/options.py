"""Checks of an algorithm's own options, those keys of `parameters` that no one else reads.

Nothing here or in the modules of our factories imports what takes long, so that a spec is checked
quickly.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmFactory,
    AlgorithmSettings,
    SearchSpace,
)
from modelops.core.errors import AlgorithmError
from modelops.core.near_miss import did_you_mean

Check = Callable[[SearchSpace, AlgorithmSettings], None]
"""Raises OptionError if the options are wrong."""


@dataclass(frozen=True)
class OptionProblem:
    """One thing to mend in an algorithm's options.

    Attributes:
        path: keys from the spec's `parameters` to what is wrong; empty for all of them.
        message: what is wrong and what is allowed.
        suggestion: what was probably meant, or what to do; may be empty.
        at_key: the key is wrong, not its value.
        by_itself: it's wrong whatever the space and the other parameters are.
    """

    path: tuple[str, ...]
    message: str
    suggestion: str = ""
    at_key: bool = False
    by_itself: bool = False


class OptionError(AlgorithmError, ValueError):
    """An option is unknown or its value is out of range.

    Also a ValueError, which is what the contract of algorithm factories names.

    Attributes:
        problems: all that were found; none if only the message tells.
    """

    def __init__(
        self, message: str, *, hint: str = "", problems: Sequence[OptionProblem] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)

    @classmethod
    def of(
        cls, where: str, given: Mapping[str, Any], problems: Sequence[OptionProblem]
    ) -> "OptionError":
        """Return the error of those problems; `where` names the algorithm, `given` its options."""
        blocks = [_sentence(where, given, problem) for problem in problems]
        if len(problems) == 1:
            return cls(blocks[0], hint=problems[0].suggestion, problems=problems)
        lines = [
            line
            for block, problem in zip(blocks, problems, strict=True)
            for line in (block, problem.suggestion)
            if line
        ]
        return cls("\n".join(lines), problems=problems)


class CheckedFactory:
    """A factory whose options can be checked without making the algorithm (`ChecksOptions`)."""

    def __init__(self, check: Check, make: AlgorithmFactory) -> None:
        self._check = check
        self._make = make
        functools.update_wrapper(self, make)

    def check(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        """Check the options.

        Raises:
            OptionError: with all that is wrong with them.
        """
        self._check(space, settings)

    def __call__(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        """Check the options, and make the algorithm."""
        self._check(space, settings)
        return self._make(space, settings)


def checked_by(check: Check) -> Callable[[AlgorithmFactory], CheckedFactory]:
    """Return the decorator of a factory that has `check` called before it."""
    return lambda make: CheckedFactory(check, make)


@dataclass(frozen=True)
class Option:
    """What an option may be.

    Attributes:
        allowed: in words.
        holds: the check.
        words: the texts that are allowed, if they can be told one by one.
    """

    allowed: str
    holds: Callable[[Any], bool]
    words: tuple[str, ...] = ()


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


def fraction() -> Option:
    """Return an option that is a number between 0 and 1, neither of them."""
    return Option(
        "a number between 0 and 1, neither of them",
        lambda value: _is_number(value) and 0 < value < 1,
    )


def number() -> Option:
    """Return an option that is a finite number."""
    return Option("a number", lambda value: _is_number(value) and math.isfinite(value))


def positive() -> Option:
    """Return an option that is a number above 0."""
    return Option("a number above 0", lambda value: _is_number(value) and value > 0)


def one_of(*choices: str) -> Option:
    """Return an option that is one of the texts."""
    return Option(f"one of {', '.join(choices)}", lambda value: value in choices, choices)


def check_options(given: Mapping[str, Any], known: Mapping[str, Option], where: str) -> None:
    """Check names and values; `where` names the algorithm in the error.

    Raises:
        OptionError: with all that is wrong, what is allowed, and near misses.
    """
    problems = []
    for name, value in given.items():
        if name not in known:
            message = f"{where} has no option {name!r}; it has: {', '.join(known) or 'none'}"
            suggestion = did_you_mean(name, known)
            problems.append(
                OptionProblem((name,), message, suggestion, at_key=True, by_itself=True)
            )
        elif not known[name].holds(value):
            message = f"this must be {known[name].allowed}"
            suggestion = did_you_mean(value, known[name].words)
            problems.append(OptionProblem((name,), message, suggestion, by_itself=True))
    if problems:
        raise OptionError.of(where, given, problems)


def _sentence(where: str, given: Mapping[str, Any], problem: OptionProblem) -> str:
    if problem.at_key:
        return f"{problem.message}."
    value: Any = given
    for key in problem.path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None or not problem.path:
        return f"{where}: {problem.message}."
    return f"{where}: {'.'.join(problem.path)} is {value!r}: {problem.message}."


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
