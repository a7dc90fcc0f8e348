"""Every metric is documented, and the dashboard asks for no other."""

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SOURCES = Path(__file__).parents[2] / "src" / "modelops"


@pytest.fixture(scope="module")
def declared() -> set[str]:
    """The names of all metrics, as the sources have them."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for kind, name in re.findall(
            r'\b(Counter|Gauge|Histogram|GaugeMetricFamily)\(\s*"(modelops_\w+)"', text
        ):
            found.add(f"{name}_total" if kind == "Counter" else name)
    return found


def test_every_metric_is_documented_and_no_other(declared: set[str]) -> None:
    text = (DOCS / "observability.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(modelops_\w+)", text, re.MULTILINE))
    assert documented == declared
    assert len(declared) > 15


def test_the_dashboard_asks_for_metrics_that_there_are(declared: set[str]) -> None:
    dashboard = json.loads((DOCS / "dashboards" / "modelops.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {
        name.removesuffix("_bucket")
        for expression in expressions
        for name in re.findall(r"\b(modelops_\w+)\{", expression)
    }
    assert asked <= declared
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert len(asked) > 10
