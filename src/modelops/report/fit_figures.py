"""The figures of how trials lie against the data."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelops.analysis.fits import Fit
from modelops.report.figures import (
    LEGEND,
    Figure,
    Panels,
    label,
    short,
)
from modelops.report.thinning import evenly
from modelops.worker.target_points import KEY, OBSERVED, REPLICATE

MOST_POINTS = 1_000
"""How many points of a target are drawn at the most."""
MOST_GROUPS = 6
"""How many groups of a target's points are drawn at the most, each in a figure of its own."""
_REPLICATES_SHOWN = 8

_Floats = npt.NDArray[np.float64]


def fit_panels(fits: Mapping[int, Fit]) -> Panels:
    """Return the best trials against the data, a figure or more for each target.

    The first trial is shown with all of its replicates, the others with their means.
    """
    usable = {trial: fit for trial, fit in fits.items() if fit.failure is None}
    if not usable:
        return Panels()
    first = next(iter(usable.values()))
    figures: list[Figure] = []
    said: list[str] = []
    for index, name in enumerate(first.points):
        tables = {trial: fit.points[name] for trial, fit in usable.items() if name in fit.points}
        made, words = _target_figures(f"fit-{index}", name, tables)
        figures += made
        said += words
    return Panels(figures, " ".join(said))


def _target_figures(
    key: str, name: str, tables: Mapping[int, pa.Table]
) -> tuple[list[Figure], list[str]]:
    table = next(iter(tables.values()))
    keys = [column for column in table.column_names if column.startswith(KEY)]
    axis = _axis_column(table, keys)
    if axis is None or table.num_rows == 1:
        return [_dots_figure(key, name, tables)], []
    groups = list(_groups(table, [column for column in keys if column != axis]))
    said = []
    if len(groups) > MOST_GROUPS:
        said.append(f"Of {name}, {MOST_GROUPS} of {len(groups)} groups are drawn.")
    figures = []
    for number, (words, rows) in enumerate(groups[:MOST_GROUPS]):
        shown = evenly(_sorted(table, axis, rows), MOST_POINTS)
        if len(shown) < len(rows):
            said.append(f"Of {name}, {len(shown):,} of {len(rows):,} points are drawn.")
        title = f"{name}, {words}" if words else name
        figures.append(_series_figure(f"{key}-{number}", title, axis, tables, shown))
    return figures, list(dict.fromkeys(said))


def _series_figure(
    key: str, title: str, axis: str, tables: Mapping[int, pa.Table], rows: Sequence[int]
) -> Figure:
    trials = list(tables.items())
    x = _axis_values(trials[0][1], axis, rows)
    data: list[dict[str, Any]] = []
    for index, (trial, table) in enumerate(trials):
        simulated = _simulated(table)[:, rows]
        if index == 0:
            data += _spread(x, simulated)
        mean = simulated.mean(axis=0)
        words = "mean of its replicates" if len(simulated) > 1 else "simulated"
        data.append(
            {
                **_line(x, mean, f"trial {trial}: {words}" if index == 0 else f"trial {trial}"),
                "line": {"color": "@best", "width": 2.5}
                if index == 0
                else {"color": "@trial", "width": 1.5, "dash": "dot"},
            }
        )
    observed = trials[0][1].column(OBSERVED).to_numpy()[rows]
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "observed",
            "x": x,
            "y": _numbers(observed),
            "marker": {"color": "@observed", "size": 7},
            "hovertemplate": "observed %{y:.6g}<extra></extra>",
        }
    )
    layout = {
        "xaxis": {"title": {"text": label(axis.removeprefix(KEY))}, **_axis_type(x)},
        "yaxis": {"rangemode": "normal"},
        "hovermode": "x unified",
        "legend": LEGEND,
    }
    return Figure(key, title, data, layout, height=380)


def _dots_figure(key: str, name: str, tables: Mapping[int, pa.Table]) -> Figure:
    """Return numbers that have no order: each point's replicates, and what was observed."""
    table = next(iter(tables.values()))
    keys = [column for column in table.column_names if column.startswith(KEY)]
    rows = evenly(range(table.num_rows), MOST_POINTS)
    names = _row_names(table, keys, rows, name)
    data: list[dict[str, Any]] = []
    for index, (trial, points) in enumerate(tables.items()):
        simulated = _simulated(points)[:, rows]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"trial {trial}",
                "x": [place for _ in simulated for place in names],
                "y": _numbers(simulated.ravel()),
                "marker": {
                    "color": "@best" if index == 0 else "@trial",
                    "size": 8 if index == 0 else 6,
                    "opacity": 0.7,
                },
                "hovertemplate": f"trial {trial}: %{{y:.6g}}<extra></extra>",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "observed",
            "x": names,
            "y": _numbers(table.column(OBSERVED).to_numpy()[rows]),
            "marker": {
                "color": "@observed",
                "size": 22,
                "symbol": "line-ew-open",
                "line": {"width": 3, "color": "@observed"},
            },
            "hovertemplate": "observed %{y:.6g}<extra></extra>",
        }
    )
    layout = {"xaxis": {"type": "category"}, "legend": LEGEND}
    return Figure(f"{key}-0", name, data, layout, height=320, is_small=len(rows) <= 4)


def _spread(x: Sequence[Any], simulated: _Floats) -> Iterator[dict[str, Any]]:
    """Yield the range of replicates, and some of them."""
    if len(simulated) < 2:
        return
    for values, words, fill in (
        (simulated.min(axis=0), "", None),
        (simulated.max(axis=0), f"range of {len(simulated)} replicates", "tonexty"),
    ):
        yield {
            **_line(x, values, words),
            "line": {"width": 0, "color": "@best"},
            "showlegend": fill is not None,
            "hoverinfo": "skip",
            **({"fill": fill, "fillcolor": "@spread"} if fill else {}),
        }
    if len(simulated) <= _REPLICATES_SHOWN:
        for values in simulated:
            yield {
                **_line(x, values, "replicate"),
                "line": {"width": 0.8, "color": "@best"},
                "opacity": 0.45,
                "showlegend": False,
                "hoverinfo": "skip",
            }


def _axis_column(table: pa.Table, keys: Sequence[str]) -> str | None:
    """Return the key that points are drawn along: the first that has an order, or the only one."""
    for name in keys:
        kind = table.schema.field(name).type
        if pa.types.is_temporal(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind):
            return name
    return None


def _groups(table: pa.Table, others: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    rows: dict[tuple[Any, ...], list[int]] = {}
    columns = [table.column(name).to_pylist() for name in others]
    for row in range(table.num_rows):
        rows.setdefault(tuple(column[row] for column in columns), []).append(row)
    for values, found in rows.items():
        named = zip(others, values, strict=True)
        yield ", ".join(f"{name.removeprefix(KEY)} {value}" for name, value in named), found


def _sorted(table: pa.Table, axis: str, rows: Sequence[int]) -> list[int]:
    values = table.column(axis).to_pylist()
    known = sorted((row for row in rows if values[row] is not None), key=lambda row: values[row])
    return [*known, *(row for row in rows if values[row] is None)]


def _axis_values(table: pa.Table, axis: str, rows: Sequence[int]) -> list[Any]:
    values = table.column(axis).to_pylist()
    return [_plain(values[row]) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, (int, float)):
        return value
    return label(value)


def _axis_type(x: Sequence[Any]) -> dict[str, Any]:
    # Plotly guesses otherwise, and may take numbers for years.
    return {"type": "date"} if any(isinstance(value, str) for value in x) else {"type": "linear"}


def _row_names(
    table: pa.Table, keys: Sequence[str], rows: Sequence[int], otherwise: str
) -> list[str]:
    if not keys:
        return [label(short(otherwise) if len(rows) == 1 else row) for row in rows]
    columns = [table.column(name).to_pylist() for name in keys]
    names = (", ".join(str(column[row]) for column in columns) for row in rows)
    return [label(short(name, 24)) for name in names]


def _simulated(table: pa.Table) -> _Floats:
    names = [name for name in table.column_names if name.startswith(REPLICATE)]
    return np.vstack([table.column(name).to_numpy() for name in names])


def _line(x: Sequence[Any], y: _Floats, name: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": _numbers(y),
        "hovertemplate": f"{name} %{{y:.6g}}<extra></extra>",
    }


def _numbers(values: _Floats) -> list[float | None]:
    # JSON has no NaN.
    return [float(value) if math.isfinite(value) else None for value in values]
