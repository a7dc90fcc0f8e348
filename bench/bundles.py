"""Pushing and pulling 200 small files and one of 100 MB, on a real registry, in process.

Beside it, in the same run: a bare HTTP client with 8 threads that moves the same blobs from and to
the disk, the same client with each file as a blob, and `skopeo copy` of the same artifact. Each
first push has a registry that never had anything, and nothing is known of earlier pushes.

Bars: first push at most 1.15 times the bare client with the same blobs and 0.4 times with each file
as a blob; a push with nothing changed 15 ms; with one small file changed 50 ms, and less than 1 MB
moved; 10,000 files of 1 KB 3 times `tar` piped to a file.
"""

import importlib.util
import sys

import _bundle_push
from _bundle_case import bundle_case
from _figures import figure


def main() -> int:
    """Print the figures as JSON objects; return 1 if a bar falls."""
    with bundle_case() as case:
        holds = [_bundle_push.measure(case)]
        if importlib.util.find_spec("_bundle_pull"):
            import _bundle_pull  # noqa: PLC0415 - as long as it may be missing

            holds += [
                figure(found.name, found.value, "s", baseline=found.baseline, bar=found.bar)
                for found in _bundle_pull.measure(case)
            ]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
