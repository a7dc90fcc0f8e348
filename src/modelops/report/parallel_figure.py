"""The figure of parallel coordinates: trials as lines across all varied parameters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelops.analysis.hints import place_in
from modelops.analysis.known_run import KnownRun
from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
)
from modelops.report.figures import LEGEND, MOST_PANELS, Figure, choice_index, label, short
from modelops.report.thinning import thinned
from modelops.runner.records import TrialRecord

MOST_LINES = 300
"""How many trials are shown at the most."""
_BINS = 5


def parallel_figure(run: KnownRun) -> Figure | None:
    """Return trials as lines across all varied parameters, coloured by the rank of their loss."""
    varied = {
        name: parameter
        for name, parameter in list(run.plan.space.parameters.items())
        if not isinstance(parameter, FixedParameter)
    }
    completed = run.completed
    if len(varied) < 2 or not completed:
        return None
    names = list(varied)[:MOST_PANELS]
    # Evenly by rank, so that each group has its share of the lines.
    drawn = thinned(run.best, run.best, MOST_LINES)
    ranks = {record.trial.number: rank for rank, record in enumerate(run.best)}
    groups: list[list[TrialRecord]] = [[] for _ in range(_BINS)]
    for record in drawn.items:
        groups[ranks[record.trial.number] * _BINS // len(completed)].append(record)
    data = [
        _lines_of(number, group, names, varied, len(completed))
        for number, group in reversed(list(enumerate(groups)))
        if group
    ]
    axes = list(range(len(names)))
    annotations = [
        {
            "x": axis,
            "y": place,
            "xref": "x",
            "yref": "paper",
            "text": label(text),
            "showarrow": False,
            "yanchor": anchor,
            "font": {"size": 11},
        }
        for axis, name in enumerate(names)
        for place, anchor, text in _ends(varied[name])
    ]
    layout = {
        "xaxis": {
            "tickvals": axes,
            "ticktext": [label(name) for name in names],
            "range": [-0.3, len(names) - 0.7],
            "showgrid": True,
            "zeroline": False,
            "side": "bottom",
            "ticklabelstandoff": 14,
        },
        "yaxis": {"visible": False, "range": [-0.02, 1.02]},
        "annotations": annotations,
        "legend": {**LEGEND, "y": 1.12, "traceorder": "reversed"},
        "hovermode": False,
        "margin": {"t": 70, "b": 60, "l": 20, "r": 20},
    }
    caption = (
        "Each line is a trial, from bound to bound of each parameter (logarithmic where the search "
        f"is). A click on the legend hides a group. {drawn.words}"
    )
    return Figure("parallel", "", data, layout, caption.strip(), height=440)


def _lines_of(
    number: int,
    group: Sequence[TrialRecord],
    names: Sequence[str],
    parameters: Mapping[str, Parameter],
    total: int,
) -> dict[str, Any]:
    x: list[int | None] = []
    y: list[float | None] = []
    for record in group:
        for axis, name in enumerate(names):
            x.append(axis)
            y.append(_place(parameters[name], record.trial.parameters.params[name]))
        # A gap between one trial and the next.
        x.append(None)
        y.append(None)
    first, last = number / _BINS, (number + 1) / _BINS
    words = f"the best {last:.0%}" if number == 0 else f"{first:.0%} to {last:.0%}"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": words if total >= _BINS else "trials",
        "x": x,
        "y": y,
        "line": {"color": f"@rank{number}", "width": 1.5 if number == 0 else 1},
        "opacity": 0.9 if number == 0 else 0.7,
        "hoverinfo": "skip",
    }


def _place(parameter: Parameter, value: Scalar) -> float:
    if isinstance(parameter, CategoricalParameter):
        return choice_index(parameter, value) / max(1, len(parameter.choices) - 1)
    return round(place_in(parameter, value), 5)


def _ends(parameter: Parameter) -> Iterator[tuple[float, str, str]]:
    match parameter:
        case CategoricalParameter(choices):
            yield -0.01, "top", short(choices[0])
            if len(choices) > 1:
                yield 1.01, "bottom", short(choices[-1])
        case FloatParameter(low, high) | IntParameter(low, high):
            yield -0.01, "top", f"{low:.4g}"
            yield 1.01, "bottom", f"{high:.4g}"
