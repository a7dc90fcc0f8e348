"""Finding algorithms by their type; a broken plugin is named and skipped."""

from typing import Any

from modelops.contracts import AdaptiveAlgorithm, AlgorithmFactory, AlgorithmSettings, SearchSpace
from modelops.core.errors import AlgorithmError, ModelOpsError
from modelops.core.plugins import load_plugin, plugin_names

GROUP = "modelops.algorithms"


def algorithm_types() -> tuple[str, ...]:
    """Return the types of all algorithms that are installed, broken ones included."""
    return plugin_names(GROUP)


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
    factory: AlgorithmFactory = load_plugin(
        GROUP, type, make=_factory, what="algorithm", error=AlgorithmError
    )
    try:
        algorithm = factory(space, settings)
    except ModelOpsError:
        raise
    except ValueError as error:
        raise AlgorithmError(f"Algorithm {type!r} can't be made: {error}") from error
    if not isinstance(algorithm, AdaptiveAlgorithm):
        raise AlgorithmError(f"Algorithm {type!r} has no ask, tell and finished.")
    return algorithm


def _factory(plugin: Any) -> AlgorithmFactory:
    if not callable(plugin):
        raise TypeError("it can't be called")
    factory: AlgorithmFactory = plugin
    return factory
