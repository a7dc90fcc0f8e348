"""Finding losses and alignments by name: ours, and those that packages bring.

A package of others names them as entry points of the groups `modelops.losses` and
`modelops.alignments`. Ours are found without looking into any package, so that they are there in
every environment that a bundle's code runs in. A broken plugin is named and skipped.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from modelops import __version__
from modelops.calibration.alignment import AlignmentStrategy
from modelops.calibration.key_alignment import ExactAlignment
from modelops.calibration.likelihoods import (
    BetaBinomialNLL,
    GaussianNLL,
    NegativeBinomialNLL,
    PoissonNLL,
)
from modelops.calibration.losses import RMSE, AbsoluteError, EvaluationStrategy, SquaredError
from modelops.calibration.metric_alignment import MetricAlignment
from modelops.calibration.ordered_alignment import AsOfAlignment, InterpolationAlignment
from modelops.core.errors import CalibrationError, ModelOpsError
from modelops.core.plugins import Plugin, choose_plugin, find_plugins

LOSSES = "modelops.losses"
ALIGNMENTS = "modelops.alignments"

_Made = Callable[..., Any]


def _ours(named: Mapping[str, _Made]) -> dict[str, Plugin]:
    return {
        name: Plugin(
            name, f"modelops.calibration:{made.__name__}", "modelops", __version__, made=made
        )
        for name, made in named.items()
    }


_LOSSES = _ours(
    {
        "absolute-error": AbsoluteError,
        "beta-binomial-nll": BetaBinomialNLL,
        "gaussian-nll": GaussianNLL,
        "negative-binomial-nll": NegativeBinomialNLL,
        "poisson-nll": PoissonNLL,
        "rmse": RMSE,
        "squared-error": SquaredError,
    }
)
_ALIGNMENTS = _ours(
    {
        "as-of": AsOfAlignment,
        "exact": ExactAlignment,
        "interpolation": InterpolationAlignment,
        "metric": MetricAlignment,
    }
)


def create_loss(name: str, **options: Any) -> EvaluationStrategy:
    """Make the loss of that name, such as `create_loss("gaussian-nll", sigma=2.0)`.

    Raises:
        CalibrationError: if there is none of that name, the one there is can't be loaded, or an
            option is missing or wrong.
    """
    loss = _create(LOSSES, _LOSSES, "loss", name, options)
    if not isinstance(loss, EvaluationStrategy):
        raise CalibrationError(f"The loss {name!r} has no evaluate: it is {loss!r}.")
    return loss


def create_alignment(name: str, **options: Any) -> AlignmentStrategy:
    """Make the alignment of that name, such as `create_alignment("as-of", tolerance=1)`.

    Raises:
        CalibrationError: as for `create_loss`.
    """
    alignment = _create(ALIGNMENTS, _ALIGNMENTS, "alignment", name, options)
    if not isinstance(alignment, AlignmentStrategy):
        raise CalibrationError(f"The alignment {name!r} has no align: it is {alignment!r}.")
    return alignment


def installed_losses() -> tuple[Plugin, ...]:
    """Return every loss that is installed, broken ones included; ours first."""
    return _installed(LOSSES, _LOSSES)


def installed_alignments() -> tuple[Plugin, ...]:
    """Return every alignment that is installed, broken ones included; ours first."""
    return _installed(ALIGNMENTS, _ALIGNMENTS)


def _installed(group: str, ours: Mapping[str, Plugin]) -> tuple[Plugin, ...]:
    found = list(find_plugins(group, make=_factory))
    for index, plugin in enumerate(found):
        if plugin.name in ours:
            taken = f"its name is taken by {ours[plugin.name].target}"
            found[index] = replace(plugin, problem=taken, made=None)
    return (*ours.values(), *found)


def _create(
    group: str, ours: Mapping[str, Plugin], kind: str, name: str, options: Mapping[str, Any]
) -> Any:
    if name in ours:
        made = ours[name].made
    else:
        # Only those of this name are loaded, and the others only to say what there is.
        found = find_plugins(group, make=_factory, name=name) or _installed(group, ours)
        made = choose_plugin(found, name, what=kind, error=CalibrationError)
    try:
        return made(**options)
    except ModelOpsError:
        raise
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f"The {kind} {name!r} can't be made: {error}",
            hint=f"Give what it needs by name: create_{kind}({name!r}, …).",
        ) from error


def _factory(plugin: Any) -> _Made:
    if not callable(plugin):
        raise TypeError("it can't be called")
    made: _Made = plugin
    return made
