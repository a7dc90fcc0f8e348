"""The report in a real browser: its plots draw, and nothing that a user wrote is run."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from made_report import made_content, made_run
from modelops.report.content import ReportContent
from modelops.report.page import report_html

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        BROWSER is None, reason="chromium isn't installed: apt-get install chromium"
    ),
]

Look = Callable[..., str]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Return what opens a page in a browser of its own, without a network."""

    def open_page(html: str, *options: str) -> str:
        file = tmp_path / "report.html"
        file.write_text(html)
        assert BROWSER is not None
        done = subprocess.run(
            [
                BROWSER,
                "--headless",
                "--disable-gpu",
                # Its sandbox needs what containers, and root, don't have.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--proxy-server=127.0.0.1:9",
                "--no-first-run",
                f"--user-data-dir={tmp_path / 'browser'}",
                "--virtual-time-budget=20000",
                *options,
                file.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        return done.stdout

    return open_page


def drawn(dom: str) -> int:
    """How many figures Plotly has drawn."""
    return without_scripts(dom).count('class="plot-container plotly"')


def without_scripts(dom: str) -> str:
    """Return a page without what Plotly's own code and the embedded data have in them."""
    return re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)


def test_all_plots_draw_and_nothing_of_a_users_runs(look: Look) -> None:
    html = report_html(made_content(made_run(60)))
    dom = look(html, "--dump-dom")
    assert drawn(dom) == html.count('<div class="plot"') == 14
    page = without_scripts(dom)
    assert page.count("main-svg") >= 14
    # Points and bars are there, not only their frames.
    assert page.count('class="point"') > 60
    assert "<title>run | ModelOps</title>" in dom
    assert "<title>pwned" not in dom
    # What was markup in a name is text in the plots, too.
    assert "&lt;/script&gt;" in page
    assert "<img" not in page


def test_ten_thousand_trials_draw(look: Look) -> None:
    html = report_html(made_content(made_run(10_000)))
    assert len(html) < 8_000_000
    assert drawn(look(html, "--dump-dom")) == 14


def test_a_run_without_a_result_opens(look: Look) -> None:
    content = made_content(made_run(5, failing=1.0))
    dom = look(report_html(ReportContent(content.run, content.provenance)), "--dump-dom")
    assert drawn(dom) == 0
    assert "No trial has completed" in dom
    assert "<title>run | ModelOps</title>" in dom


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_and_a_narrow_window(look: Look, tmp_path: Path, scheme: str) -> None:
    image = tmp_path / "page.png"
    dark = ["--force-dark-mode"] * (scheme == "dark")
    look(
        report_html(made_content(made_run(60))),
        "--window-size=500,3000",
        f"--screenshot={image}",
        "--hide-scrollbars",
        *dark,
    )
    pillow = pytest.importorskip("PIL.Image")
    with pillow.open(image) as opened:
        picture = opened.convert("RGB")
    corner = picture.getpixel((2, 2))
    assert (sum(corner) < 150) == (scheme == "dark")
    # Nothing is wider than the window: the right edge is empty.
    edge = {picture.getpixel((picture.width - 2, y)) for y in range(0, picture.height, 7)}
    assert edge == {corner}
    colours = picture.getcolors(maxcolors=2**24)
    assert colours is not None
    assert len(colours) > 50
