"""Printing what is wrong with a bundle."""

import sys
from pathlib import Path

from modelops.cli.options import Options
from modelops.cli.output import print_json, say


def report_findings(options: Options, directory: Path) -> None:
    """Check the bundle in a directory and print what is found; exit with 2 if it can't be used."""
    from modelops.bundles.validate import validate_bundle

    findings = validate_bundle(directory)
    if options.json:
        print_json(
            [{"severity": f.severity, "message": f.message, "hint": f.hint} for f in findings]
        )
    for finding in findings:
        say(options, f"{finding.severity}: {finding.message}")
        if finding.hint:
            say(options, f"  {finding.hint}")
    if any(finding.severity == "error" for finding in findings):
        sys.exit(2)
    say(options, f"{directory} is a valid bundle.")
