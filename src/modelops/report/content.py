"""What a report is made of: all that was read, before anything is drawn."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from modelops.analysis.fits import Fit
from modelops.analysis.known_run import KnownRun


@dataclass(frozen=True)
class Provenance:
    """Where a run's results come from.

    Attributes:
        state: the run's.
        message: why it is in that state, if anything is to be said.
        started_at: when it began.
        image: of its workers; empty where they run in no image.
        versions: of the libraries that it ran with, by name; empty while that isn't known.
        spec: a RuntimeSpec that repeats it, as YAML.
        file: what that file is to be called.
        command: what repeats it, with that file.
    """

    state: str
    message: str
    started_at: datetime.datetime
    image: str
    versions: Mapping[str, str]
    spec: str
    file: str
    command: str


@dataclass(frozen=True)
class ReportContent:
    """A run, and what was found of it.

    Attributes:
        fits: trial → how it lies against the data; of the best trials, as far as their outputs are
            stored.
        unstored: the best trials whose outputs aren't.
        fit_problem: why no trial could be compared with the data; empty if that isn't so.
        posterior: as `runner.posterior` has it, or None.
    """

    run: KnownRun
    provenance: Provenance
    fits: Mapping[int, Fit] = field(default_factory=dict)
    unstored: tuple[int, ...] = ()
    fit_problem: str = ""
    posterior: pa.Table | None = None
