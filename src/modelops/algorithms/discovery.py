"""Finding algorithms by their type; a broken plugin is named and skipped."""

from typing import Any

from modelops.algorithms.options import OptionError, OptionProblem
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmFactory,
    AlgorithmSettings,
    ChecksOptions,
    SearchSpace,
)
from modelops.core.errors import AlgorithmError, ModelOpsError
from modelops.core.plugins import Plugin, choose_plugin, find_plugins, plugin_names

GROUP = "modelops.algorithms"


def algorithm_types() -> tuple[str, ...]:
    """Return the types of all algorithms that are installed, broken ones included."""
    return plugin_names(GROUP)


def installed_algorithms() -> tuple[Plugin, ...]:
    """Return every algorithm that is installed, broken ones included."""
    return find_plugins(GROUP, make=_factory)


def create_algorithm(
    type: str,  # noqa: A002 — the spec's own word
    space: SearchSpace,
    settings: AlgorithmSettings,
) -> AdaptiveAlgorithm:
    """Make the algorithm of that type.

    Raises:
        AlgorithmError: if there is none of that type, the one there is can't be loaded, or an
            option is wrong.
    """
    factory = _find(type)
    try:
        algorithm = factory(space, settings)
    except ModelOpsError:
        raise
    except ValueError as error:
        raise AlgorithmError(f"Algorithm {type!r} can't be made: {error}") from error
    if not isinstance(algorithm, AdaptiveAlgorithm):
        raise AlgorithmError(f"Algorithm {type!r} has no ask, tell and finished.")
    return algorithm


def check_options(
    type: str,  # noqa: A002
    space: SearchSpace,
    settings: AlgorithmSettings,
) -> tuple[OptionProblem, ...]:
    """Return what is wrong with an algorithm's options, as far as it's known before a run.

    A factory without a check of its own (`ChecksOptions`) is called. A library that isn't
    installed is nothing wrong: where the run is, it may be.

    Raises:
        AlgorithmError: if there is no algorithm of that type, or the one there is is broken.
    """
    factory = _find(type)
    try:
        _try_options(factory, space, settings)
    except OptionError as error:
        message = f"{error.message} {error.hint}".strip()
        return error.problems or (OptionProblem((), message),)
    except ValueError as error:
        return (OptionProblem((), str(error) or f"algorithm {type} refuses them"),)
    except ModelOpsError:
        return ()
    except Exception as error:  # a plugin may fail in any way
        message = f"{error.__class__.__name__}: {error}"
        raise AlgorithmError(
            f"Algorithm {type!r} can't be made: {message}",
            hint="Upgrade the package that it comes from, or tell its authors.",
        ) from error
    return ()


def _try_options(
    factory: AlgorithmFactory, space: SearchSpace, settings: AlgorithmSettings
) -> None:
    # A method `check` of a class that is the factory itself is something else.
    if isinstance(factory, ChecksOptions) and not isinstance(factory, type):
        factory.check(space, settings)
    else:
        factory(space, settings)


def _find(name: str) -> AlgorithmFactory:
    # Only those of this name are loaded: algorithms' libraries take long to import.
    found = find_plugins(GROUP, make=_factory, name=name) or installed_algorithms()
    factory: AlgorithmFactory = choose_plugin(found, name, what="algorithm", error=AlgorithmError)
    return factory


def _factory(plugin: Any) -> AlgorithmFactory:
    if not callable(plugin):
        raise TypeError("it can't be called")
    factory: AlgorithmFactory = plugin
    return factory
