"""The figures of a posterior: the weights of its particles, by parameter."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)
from modelops.report.figures import (
    MOST_PANELS,
    Figure,
    Panels,
    choice_index,
    choice_labels,
    label,
)

_BARS = 30

_Floats = npt.NDArray[np.float64]


def posterior_panels(posterior: pa.Table, space: SearchSpace) -> Panels:
    """Return the weights of the last generation's particles, by parameter, beside the prior."""
    if posterior.num_rows == 0:
        return Panels()
    generations = posterior.column("generation").to_pylist()
    last = max(generations)
    rows = [row for row in posterior.to_pylist() if row["generation"] == last]
    weights = np.asarray([row["weight"] for row in rows], dtype=np.float64)
    figures: list[Figure] = []
    for index, (name, parameter) in enumerate(space.parameters.items()):
        if isinstance(parameter, FixedParameter) or len(figures) == MOST_PANELS:
            continue
        column = _as_chosen(parameter, posterior.column(f"param.{name}").to_pylist())
        taken = zip(column, generations, strict=True)
        values = [value for value, generation in taken if generation == last]
        figures.append(_posterior_figure(f"posterior-{index}", name, parameter, values, weights))
    tolerance = rows[0]["tolerance"]
    accepted = "any distance was accepted" if tolerance is None else f"tolerance {tolerance:.4g}"
    caption = (
        f"The {len(rows):,} particles of generation {last}, by weight: effective sample size "
        f"{rows[0]['ess']:.4g}, {accepted}. The dashed line is the prior"
        f"{', without its constraints' if space.constraints else ''}."
    )
    return Panels(figures, caption)


def _as_chosen(parameter: Parameter, column: list[Any]) -> list[Any]:
    """Return a column's values as they were chosen: where types are mixed, it has each as JSON.

    Only such a column has texts that are no choice.
    """
    if not isinstance(parameter, CategoricalParameter) or all(
        not isinstance(value, str) or value in parameter.choices for value in column
    ):
        return column
    return [json.loads(value) for value in column]


def _posterior_figure(
    key: str, name: str, parameter: Parameter, values: Sequence[Any], weights: _Floats
) -> Figure:
    match parameter:
        case CategoricalParameter(choices):
            taken = [choice_index(parameter, value) for value in values]
            heights = np.bincount(taken, weights, len(choices)).tolist()
            x: list[Any] = list(choice_labels(choices))
            widths, prior, scale = [0.8] * len(x), 1 / len(x), {"type": "category"}
        case FloatParameter(low, high, log) | IntParameter(low, high, log):
            ends = [math.log10(low), math.log10(high)] if log else [float(low), float(high)]
            bars = _BARS
            if isinstance(parameter, IntParameter):
                ends = [ends[0], ends[1]] if log else [ends[0] - 0.5, ends[1] + 0.5]
                bars = _BARS if log else min(_BARS, int(high) - int(low) + 1)
            if ends[0] == ends[1]:
                ends = [ends[0] - 0.5, ends[1] + 0.5]
            numbers = np.asarray(values, dtype=np.float64)
            places = np.log10(numbers) if log else numbers
            found, edges = np.histogram(places, bars, (ends[0], ends[1]), weights=weights)
            heights, prior = found.tolist(), 1 / bars
            middles = (edges[:-1] + edges[1:]) / 2
            x = (10**middles if log else middles).tolist()
            widths = (10 ** edges[1:] - 10 ** edges[:-1] if log else np.diff(edges)).tolist()
            scale = {"type": "log"} if log else {}
        case _:
            raise TypeError(f"{name} isn't varied")
    data = [
        {
            "type": "bar",
            "x": x,
            "y": heights,
            "width": widths,
            "marker": {"color": "@trial"},
            "showlegend": False,
            "hovertemplate": "%{x:.4g}: %{y:.3f}<extra></extra>"
            if scale.get("type") != "category"
            else "%{x}: %{y:.3f}<extra></extra>",
        }
    ]
    layout = {
        "xaxis": {"title": {"text": label(name)}, **scale},
        "yaxis": {"title": {"text": "weight"}, "rangemode": "tozero"},
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": prior,
                "y1": prior,
                "line": {"color": "@best", "width": 1.5, "dash": "dash"},
            }
        ],
        "bargap": 0.05,
        "margin": {"t": 12, "b": 50, "l": 60, "r": 12},
    }
    return Figure(key, "", data, layout, height=260, is_small=True)
