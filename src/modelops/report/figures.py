"""The figures of trials and parameters, as Plotly's JSON.

Colours are names that begin with @: the page puts those of the reader's theme in their place.
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelops.analysis.known_run import KnownRun, loss_of
from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
)
from modelops.report.thinning import Drawn, thinned
from modelops.runner.records import TrialRecord

MOST_TRIALS = 2_000
"""How many trials a figure shows at the most."""
MOST_POINTS = 12_000
"""How many points all panels of parameters have together at the most."""
MOST_PANELS = 24
BEST_SHOWN = 10
_LOG_SPAN = 30.0
"""Positive losses over more than this factor are drawn on a logarithmic scale."""
_HEIGHT = 4.0
"""Others are drawn up to so many times the distance from the best to the median."""


@dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Attributes:
        key: names it in the page: letters, digits and -.
        title: plain text; empty where the section's own is enough.
        data, layout: as Plotly takes them.
        caption: plain text below it.
        height: in pixels.
        is_small: whether several fit beside each other.
    """

    key: str
    title: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    caption: str = ""
    height: int = 380
    is_small: bool = False


@dataclass(frozen=True)
class Panels:
    """Several figures, and what is to be said of all of them."""

    figures: Sequence[Figure] = field(default_factory=tuple)
    caption: str = ""


def label(value: object) -> str:
    """Return a text as Plotly draws it: it would take what looks like markup for markup."""
    return html.escape(str(value), quote=False)


def choice_labels(choices: Sequence[Scalar]) -> list[str]:
    """Return the choices as an axis names them: short, and no two alike."""
    names = [short(choice) for choice in choices]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names)]
    return [label(name) for name in names]


def choice_index(parameter: CategoricalParameter, value: object) -> int:
    """Return which of the choices a value is.

    Raises:
        ValueError: if it is none.
    """
    for index, choice in enumerate(parameter.choices):
        # 1, 1.0 and True are equal to Python but are three values here.
        if type(choice) is type(value) and choice == value:
            return index
    raise ValueError(f"{value!r} isn't one of {list(parameter.choices)}")


def loss_figure(run: KnownRun) -> Figure | None:
    """Return the loss of each trial, and the best so far; None if no trial completed."""
    completed = run.completed
    if not completed:
        return None
    drawn = thinned(completed, run.best, MOST_TRIALS)
    numbers = [record.trial.number for record in drawn.items]
    losses = [loss_of(record) for record in drawn.items]
    steps = list(_running_best(run))
    data = [
        {
            **_markers("loss", numbers, losses, [_hover(record) for record in drawn.items]),
            "marker": {"color": "@trial", "size": 6, "opacity": 0.65},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [number for number, _ in steps],
            "y": [loss for _, loss in steps],
            "line": {"color": "@best", "width": 2.5, "shape": "hv"},
            "hovertemplate": "best so far at trial %{x}: %{y:.6g}<extra></extra>",
        },
    ]
    scale = _loss_scale([loss_of(record) for record in completed])
    layout = {
        "xaxis": {"title": {"text": "trial"}},
        "yaxis": {"title": {"text": "loss"}, **scale.axis},
        "legend": LEGEND,
    }
    said = [f"{drawn.words} The line is of all of them."] if drawn.words else []
    return Figure("loss", "", data, layout, " ".join([*said, *scale.words]))


def parameter_panels(run: KnownRun) -> Panels:
    """Return each parameter against the loss."""
    completed = run.completed
    varied = [
        (name, parameter)
        for name, parameter in run.plan.space.parameters.items()
        if not isinstance(parameter, FixedParameter)
    ]
    if not completed or not varied:
        return Panels()
    shown = varied[:MOST_PANELS]
    most = max(BEST_SHOWN * 2, min(MOST_TRIALS, MOST_POINTS // len(shown)))
    drawn = thinned(completed, run.best, most)
    best = run.best[:BEST_SHOWN]
    scale = _loss_scale([loss_of(record) for record in completed])
    figures = [
        _parameter_figure(f"parameter-{index}", name, parameter, drawn, best, scale=scale)
        for index, (name, parameter) in enumerate(shown)
    ]
    said = [f"The {len(best)} best trials stand out.", drawn.words, *scale.words]
    if len(shown) < len(varied):
        said.append(f"The first {len(shown)} of {len(varied)} parameters are drawn.")
    return Panels(figures, " ".join(filter(None, said)))


def shown_value(value: Scalar) -> str:
    """Return a value as people read it, a long text cut short."""
    return f"{value:.6g}" if isinstance(value, float) else short(value, 40)


def short(value: object, most: int = 16) -> str:
    """Return a text that is cut short where it's longer than `most` characters."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _parameter_figure(
    key: str,
    name: str,
    parameter: Parameter,
    drawn: Drawn[TrialRecord],
    best: Sequence[TrialRecord],
    *,
    scale: "_LossScale",
) -> Figure:
    def trace(records: Sequence[TrialRecord], words: str, marker: dict[str, Any]) -> dict[str, Any]:
        values = [_axis_value(parameter, item.trial.parameters.params[name]) for item in records]
        losses = [loss_of(item) for item in records]
        numbers = [item.trial.number for item in records]
        return {
            **_markers(words, values, losses, numbers),
            "hovertemplate": "trial %{text}: loss %{y:.6g} at %{x}<extra></extra>",
            "marker": marker,
            "showlegend": False,
        }

    data = [
        trace(drawn.items, "trials", {"color": "@trial", "size": 5, "opacity": 0.5}),
        trace(best, "best", {"color": "@best", "size": 8}),
    ]
    layout = {
        "xaxis": {"title": {"text": label(name)}, **_axis_of(parameter)},
        "yaxis": {"title": {"text": "loss"}, **scale.axis},
        "margin": {"t": 12, "b": 50, "l": 60, "r": 12},
    }
    return Figure(key, "", data, layout, height=280, is_small=True)


def _running_best(run: KnownRun) -> Iterator[tuple[int, float]]:
    """Yield where the best loss changes, and the last trial."""
    best = math.inf
    completed = run.completed
    for record in completed:
        if loss_of(record) < best:
            best = loss_of(record)
            yield record.trial.number, best
    yield completed[-1].trial.number, best


def _axis_value(parameter: Parameter, value: Scalar) -> Any:
    if isinstance(parameter, CategoricalParameter):
        return choice_labels(parameter.choices)[choice_index(parameter, value)]
    # Plotly computes with float64, and JSON has larger integers.
    return float(value)


def _axis_of(parameter: Parameter) -> dict[str, Any]:
    match parameter:
        case CategoricalParameter(choices):
            names = choice_labels(choices)
            return {"type": "category", "categoryorder": "array", "categoryarray": names}
        case FloatParameter(low, high, log) | IntParameter(low, high, log):
            if log:
                ends = [math.log10(low), math.log10(high)]
                return {"type": "log", "range": _padded(*ends)}
            return {"range": _padded(float(low), float(high))}
        case _:
            return {}


def _padded(low: float, high: float) -> list[float]:
    pad = 0.03 * (high / 2 - low / 2) * 2 or 0.5
    return [low - pad, high + pad]


@dataclass(frozen=True)
class _LossScale:
    """How losses are drawn: an axis, and what is to be said of it."""

    axis: Mapping[str, Any]
    words: Sequence[str] = ()


def _loss_scale(losses: Sequence[float]) -> _LossScale:
    values = np.asarray(losses, dtype=np.float64)
    best, middle, worst = (float(value) for value in np.quantile(values, (0, 0.5, 1)))
    if best > 0 and worst / best > _LOG_SPAN:
        return _LossScale({"type": "log", "exponentformat": "power", "dtick": 1})
    # A log-likelihood may be below 0, and the worst trials far away.
    height = _HEIGHT * (middle - best)
    if not 0 < 2 * height < worst - best:
        return _LossScale({})
    above = int(np.sum(values > best + height))
    words = (
        f"{above:,} trials with a larger loss lie above what is shown; a double click shows all."
    )
    return _LossScale({"range": [best - 0.05 * height, best + height]}, (words,))


def _markers(
    name: str, x: Sequence[Any], y: Sequence[float], text: Sequence[str | int]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(x),
        "y": list(y),
        "text": list(text),
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(record: TrialRecord) -> str:
    params = record.trial.parameters.params
    lines = [f"trial {record.trial.number}: loss {loss_of(record):.6g}"]
    lines += [
        f"{short(name)} = {short(shown_value(value))}" for name, value in list(params.items())[:12]
    ]
    return "<br>".join(map(label, lines))


LEGEND = {
    "traceorder": "normal",
    "orientation": "h",
    "x": 0,
    "y": 1.02,
    "xanchor": "left",
    "yanchor": "bottom",
}
