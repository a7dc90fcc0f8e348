"""`python -m modelops.cli.help`: write help.txt anew, after commands or options have changed."""

import os

from typer.testing import CliRunner

from modelops.cli.app import app
from modelops.cli.main import HELP


def rendered() -> str:
    """Return the help as Typer prints it, 80 columns wide."""
    os.environ["COLUMNS"] = "80"
    return CliRunner().invoke(app, ["--help"], prog_name="mops").stdout


if __name__ == "__main__":
    HELP.write_text(rendered())
