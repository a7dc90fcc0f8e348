"""The report as one HTML file: plots, texts, styles and Plotly itself are in it.

Two things keep what a model wrote from being run: it is escaped wherever it stands, and the page's
own policy (CSP) lets those two scripts run that it names by their hashes, and nothing be fetched.
"""

import base64
import hashlib
import importlib.util
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelops.analysis.hints import hints_of
from modelops.analysis.known_run import is_completed, loss_of
from modelops.analysis.run_comparison import failures_by_reason
from modelops.analysis.stored_outputs import number_words
from modelops.contracts import FixedParameter
from modelops.core.errors import UsageError
from modelops.report.content import ReportContent
from modelops.report.figures import (
    BEST_SHOWN,
    Figure,
    Panels,
    loss_figure,
    parameter_panels,
    shown_value,
)
from modelops.report.fit_figures import fit_panels
from modelops.report.parallel_figure import parallel_figure
from modelops.report.posterior_figures import posterior_panels

_FILES = Path(__file__).parent
_MOST_TRIALS_NAMED = 12
_MOST_MESSAGES = 5


@dataclass(frozen=True)
class _Failures:
    """The trials that failed for one reason, and what the most frequent messages are."""

    reason: str
    count: int
    trials: str
    messages: Sequence[tuple[str, int]]


def report_html(content: ReportContent) -> str:
    """Return the report as HTML.

    The same content gives the same text.

    Raises:
        UsageError: if the packages for it aren't installed.
    """
    require_packages()
    template, plotly = _template(), _plotly()
    draw = _read("draw.js")
    sections: dict[str, Panels] = {
        "loss": _one(loss_figure(content.run)),
        "parameters": parameter_panels(content.run),
        "parallel": _one(parallel_figure(content.run)),
        "fit": fit_panels(content.fits),
        "posterior": Panels()
        if content.posterior is None
        else posterior_panels(content.posterior, content.run.plan.space),
    }
    figures = {
        figure.key: {"data": figure.data, "layout": figure.layout}
        for panels in sections.values()
        for figure in panels.figures
    }
    page: str = template.render(
        content=content,
        run=content.run,
        plan=content.run.plan,
        provenance=content.provenance,
        sections=sections,
        hints=hints_of(content.run),
        failures=_failures(content),
        best=_best_rows(content),
        parameters=list(content.run.plan.space.parameters),
        fixed=[
            (name, shown_value(item.value))
            for name, item in content.run.plan.space.parameters.items()
            if isinstance(item, FixedParameter)
        ],
        counts=_counts(content),
        fit_failures=[
            (trial, fit.failure.message) for trial, fit in content.fits.items() if fit.failure
        ],
        plan_json=json.dumps(content.run.plan.to_json(), indent=2),
        figures=_embedded(figures),
        style=_read("style.css"),
        plotly=plotly,
        draw=draw,
        policy=_policy(plotly, draw),
        shown=shown_value,
        number_words=number_words,
    )
    return page


def require_packages() -> None:
    """Check that the packages of the extra `report` are installed, before anything is read.

    Raises:
        UsageError: if one isn't.
    """
    for name in ("jinja2", "plotly"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(
                f"Reports need {name}, which isn't installed.",
                hint='Install it with: pip install "modelops[report]"',
            )


def _one(figure: Figure | None) -> Panels:
    return Panels() if figure is None else Panels([figure], figure.caption)


def _template() -> Any:
    import jinja2  # noqa: PLC0415 - an extra

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read("report.html"))


def _plotly() -> str:
    """Return Plotly's JavaScript, without importing what makes figures in Python."""
    found = importlib.util.find_spec("plotly")
    folders = (found.submodule_search_locations if found else None) or ()
    paths = (Path(folder) / "package_data" / "plotly.min.js" for folder in folders)
    return _script(next(path.read_text(encoding="utf-8") for path in paths))


def _read(name: str) -> str:
    return _script((_FILES / name).read_text(encoding="utf-8"))


def _script(text: str) -> str:
    # A browser reads line ends so, and hashes what it read.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _policy(*scripts: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(item.encode()).digest()) for item in scripts]
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _embedded(value: object) -> str:
    """Return JSON that can stand in a script element: no end of it, and no comment, is in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _counts(content: ReportContent) -> dict[str, int]:
    records = content.run.records
    return {
        "ended": sum(record.outcome is not None for record in records),
        "completed": len(content.run.completed),
        "failed": sum(
            record.outcome is not None and not is_completed(record) for record in records
        ),
    }


def _best_rows(content: ReportContent) -> list[dict[str, Any]]:
    return [
        {
            "trial": record.trial.number,
            "loss": shown_value(loss_of(record)),
            "params": [shown_value(value) for value in record.trial.parameters.params.values()],
            "parts": dict(record.outcome.parts) if record.outcome else {},
            "seeds": record.trial.seeds,
        }
        for record in content.run.best[:BEST_SHOWN]
    ]


def _failures(content: ReportContent) -> list[_Failures]:
    found = []
    for reason, count in failures_by_reason(content.run).items():
        records = [
            record
            for record in content.run.records
            if record.outcome is not None
            and not is_completed(record)
            and record.outcome.reason == reason
        ]
        numbers = [record.trial.number for record in records]
        trials = number_words(numbers[:_MOST_TRIALS_NAMED])
        if len(numbers) > _MOST_TRIALS_NAMED:
            trials += f" and {len(numbers) - _MOST_TRIALS_NAMED:,} more"
        messages = Counter(record.outcome.message for record in records if record.outcome)
        found.append(_Failures(reason, count, trials, messages.most_common(_MOST_MESSAGES)))
    return found
