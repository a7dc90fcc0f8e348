"""`mops --help` beside an empty Python: what the command line costs before it does anything.

Bar: under 150 ms, or under 8 times the empty Python, whichever is larger.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 5
BAR_SECONDS = 0.150
BAR_RATIO = 8


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Print the figure as a JSON object; return 1 if the bar falls."""
    mops = [str(Path(sys.executable).with_name("mops")), "--help"]
    empty = [sys.executable, "-c", "pass"]
    seconds(mops), seconds(empty)  # bytecode and the disk's cache
    # In turns, so that a noisy moment hits both.
    pairs = [(seconds(mops), seconds(empty)) for _ in range(RUNS)]
    value = median(pair[0] for pair in pairs)
    baseline = median(pair[1] for pair in pairs)
    bar = max(BAR_SECONDS, BAR_RATIO * baseline)
    figure = {
        "name": "mops --help",
        "value": round(value, 4),
        "unit": "s",
        "baseline": round(baseline, 4),
        "ratio": round(value / baseline, 2),
        "bar": round(bar, 4),
        "holds": value < bar,
    }
    sys.stdout.write(json.dumps(figure) + "\n")
    return 0 if figure["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
