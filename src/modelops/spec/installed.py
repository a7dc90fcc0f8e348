"""What is installed beside this package, which a spec can't know by itself."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelops.algorithms.options import OptionProblem
from modelops.contracts import AlgorithmSettings, SearchSpace
from modelops.core.near_miss import did_you_mean
from modelops.spec.models import Provider, RuntimeSpec
from modelops.spec.problems import Finding, list_words

CheckOptions = Callable[[str, SearchSpace, AlgorithmSettings], Sequence[OptionProblem]]
"""Returns what is wrong with the options of an algorithm of that type."""


@dataclass(frozen=True)
class Installed:
    """The plugins that a spec may name.

    Attributes:
        providers: the model of each provider's keys (`Provider` itself takes any key). A mapping
            may load a plugin only when it is asked for its model.
        algorithms: the types of algorithms.
        check_options: what is wrong with an algorithm's options; raises AlgorithmError if the
            plugin is broken. Without it they are taken as they are.
    """

    providers: Mapping[str, type[Provider]]
    algorithms: Collection[str]
    check_options: CheckOptions | None = None


def not_installed(
    spec: RuntimeSpec, installed: Installed, *, provider: bool = True
) -> Iterator[Finding]:
    """Yield what the spec names and isn't there; the provider only if it's asked for."""
    name = spec.spec.provider.name
    if provider and name not in installed.providers:
        yield _finding(("spec", "provider", "name"), "provider", name, installed.providers)
    for key, algorithm in spec.spec.algorithms.items():
        if algorithm.type not in installed.algorithms:
            path = ("spec", "algorithms", key, "type")
            yield _finding(path, "type of algorithm", algorithm.type, installed.algorithms)


def _finding(path: tuple[str, ...], what: str, name: str, there: Collection[str]) -> Finding:
    suggestion = did_you_mean(name, there) or "Install the package that brings it."
    message = f"there is no such {what}; there are: {list_words(sorted(there))}"
    return Finding(path, message, suggestion)
