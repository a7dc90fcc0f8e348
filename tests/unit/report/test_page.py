"""The report as a file: all is in it, and what users wrote is text there."""

import hashlib
import importlib.util
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from made_report import MARKUP, SPACE, made_content, made_run
from modelops.analysis.known_run import KnownRun, loss_of
from modelops.contracts import TrialStatus
from modelops.core.errors import UsageError
from modelops.report.content import ReportContent
from modelops.report.page import report_html
from modelops.runner.records import TrialOutcome


class Page(HTMLParser):
    """The elements of a page, what is in scripts, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._in_script = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data

    @property
    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def page_of(trials: int, failing: float = 0.1) -> Page:
    return Page(report_html(made_content(made_run(trials, failing))))


def test_nothing_that_a_user_wrote_is_markup() -> None:
    page = page_of(40)
    tags = {tag for tag, _ in page.elements}
    assert "img" not in tags
    assert [tag for tag, _ in page.elements].count("script") == 3
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert set(attributes) <= {
            *("class", "id", "style", "lang", "charset", "content", "name", "type", "href"),
            "http-equiv",
        }
    # In each place where there is text of a user's it's there as it is.
    assert page.text.count(MARKUP) >= 12
    assert "pwned" not in page.scripts[1] + page.scripts[2]


def test_plotly_is_given_text_and_no_markup() -> None:
    """It takes <b>, <a> and entities in texts for what they are in HTML."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        items = value.values() if isinstance(value, dict) else value
        return (
            [text for item in items for text in texts(item)]
            if isinstance(value, (dict, list))
            else []
        )

    found = texts(page_of(40).figures)
    assert any("&lt;/script&gt;" in text for text in found)
    ours = re.compile(r"<br>|<extra></extra>")
    assert not [text for text in found if re.search(r"[<>]", ours.sub("", text))]
    assert not [text for text in found if re.search(r"&(?!lt;|gt;|amp;)", text)]


def test_only_the_scripts_that_are_named_may_run_and_nothing_is_fetched() -> None:
    page = page_of(12)
    policies = [attrs["content"] for _, attrs in page.elements if "http-equiv" in attrs]
    assert len(policies) == 1
    policy = policies[0] or ""
    allowed = [
        f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in page.scripts[1:]
    ]
    assert policy.startswith(f"default-src 'none'; script-src {' '.join(allowed)};")
    assert "unsafe-eval" not in policy
    hrefs = [attrs["href"] for _, attrs in page.elements if "href" in attrs]
    assert all((href or "").startswith("#") for href in hrefs)
    assert {"src", "link", "iframe"}.isdisjoint(tag for tag, _ in page.elements)


def test_every_figure_has_its_place() -> None:
    page = page_of(40)
    places = {attrs.get("id") for _, attrs in page.elements if attrs.get("class") == "plot"}
    assert places == set(page.figures)
    varied = len(SPACE.parameters) - 1
    names = [key.partition("-")[0] for key in page.figures]
    # Two regions, ages, and a number.
    counts = {name: names.count(name) for name in names}
    assert counts == {
        "loss": 1,
        "parameter": varied,
        "parallel": 1,
        "fit": 4,
        "posterior": varied,
    }


def test_the_line_of_the_best_is_of_all_trials_and_of_points_there_are_fewer() -> None:
    run = made_run(6_000)
    html = report_html(made_content(run))
    page = Page(html)
    points, line = page.figures["loss"]["data"]
    assert len(points["x"]) == 2_000
    assert line["y"][-1] == loss_of(run.best[0]) == min(map(loss_of, run.completed))
    best = {record.trial.number for record in run.best[:200]}
    assert best <= set(points["x"])
    assert "2,000 of" in page.text
    assert "evenly spaced" in page.text
    assert len(html) < 8_000_000
    of_parameters = [figure for key, figure in page.figures.items() if key.startswith("parameter")]
    assert sum(len(figure["data"][0]["x"]) for figure in of_parameters) <= 12_000


def test_a_few_losses_that_are_far_away_dont_hide_the_others() -> None:
    run = made_run(40, failing=0.0)

    def losses(change: Callable[[int], float]) -> KnownRun:
        records = (
            replace(record, outcome=TrialOutcome(TrialStatus.COMPLETED, change(number)))
            for number, record in enumerate(run.records)
        )
        return replace(run, records=tuple(records))

    far = losses(lambda number: -5.0 + number if number < 37 else 1e6 + number)
    page = Page(report_html(made_content(far)))
    low, high = page.figures["loss"]["layout"]["yaxis"]["range"]
    assert low < -5
    assert 32 < high < 100
    assert "3 trials with a larger loss lie above" in page.text
    positive = losses(lambda number: 10.0 ** (number / 10))
    assert Page(report_html(made_content(positive))).figures["loss"]["layout"]["yaxis"]["type"] == (
        "log"
    )
    even = Page(report_html(made_content(losses(lambda number: number - 20.0))))
    assert even.figures["loss"]["layout"]["yaxis"] == {"title": {"text": "loss"}}
    same = Page(report_html(made_content(losses(lambda _: 1.0))))
    assert same.figures["loss"]["layout"]["yaxis"] == {"title": {"text": "loss"}}


def test_without_a_completed_trial_there_is_a_report() -> None:
    for trials, failing in ((0, 0.0), (5, 1.0)):
        content = made_content(made_run(trials, failing))
        html = report_html(ReportContent(content.run, content.provenance))
        page = Page(html)
        assert page.figures == {}
        assert "No trial has completed" in page.text
        assert ("No trial failed." in page.text) == (trials == 0)


def test_one_trial_is_enough() -> None:
    page = page_of(1, failing=0.0)
    assert page.figures["loss"]["data"][0]["x"] == [0]
    assert "Completed trials: 1; hints need 10." in page.text


def test_the_same_content_gives_the_same_page() -> None:
    content = made_content(made_run(30))
    assert report_html(content) == report_html(content)


def test_versions_of_a_run_that_goes_on_arent_known_yet() -> None:
    content = made_content(made_run(12))
    going_on = replace(content, provenance=replace(content.provenance, versions={}))
    assert "they are known when the run has ended" in Page(report_html(going_on)).text


@pytest.mark.parametrize("words", ["failed", "seed of the run", "rank correlation", MARKUP])
def test_what_the_report_tells(words: str) -> None:
    assert words in page_of(60).text


@pytest.mark.parametrize("name", ["jinja2", "plotly"])
def test_without_the_extra_it_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda given: None if given == name else find_spec(given)
    )
    with pytest.raises(UsageError, match=f"Reports need {name}") as caught:
        report_html(made_content(made_run(1)))
    assert 'pip install "modelops[report]"' in caught.value.hint
