"""The conditions under which a model must give the same, and what a difference tells."""

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelops.bundles.suspects import Source
from modelops.worker.child_environment import HASH_VARIABLE, THREAD_VARIABLES

_HASH_SEEDS = (1, 2, 3, 4)
_THREADS = 4


@dataclass(frozen=True)
class Setting:
    """How simulations are run. The default is the reference: one new process runs them in order.

    Attributes:
        words: what is different from the reference, for people.
        environment: variables that differ from what every child is given.
        is_elsewhere: the bundle, and so the working directory, is at another path.
        is_backwards: the simulations run in the opposite order.
        is_warm: the process has run the same parameters with other seeds before.
        keeps_files: what an earlier process left in the working directory is still there.
        is_compiled: the code's bytecode is there already, in `__pycache__`.
    """

    words: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    is_elsewhere: bool = False
    is_backwards: bool = False
    is_warm: bool = False
    keeps_files: bool = False
    is_compiled: bool = True


@dataclass(frozen=True)
class Condition:
    """One thing that a result must not depend on.

    Attributes:
        name: as the command line names it.
        settings: ways in which it's varied; one that makes a difference is enough.
        cause: what it means when the results differ, and what to do.
        sources: what to look for in the code then.
    """

    name: str
    settings: tuple[Setting, ...]
    cause: str
    sources: frozenset[Source]


def _zones() -> tuple[str, str]:
    """Return the zones furthest to the west and to the east, by name where names are known."""
    if any(Path(folder, "Etc", "GMT-14").exists() for folder in zoneinfo.TZPATH):
        return ("Etc/GMT+12", "Etc/GMT-14")
    # POSIX, "TZ": the offset's sign is that of west.
    return ("<-12>12", "<+14>-14")


_STATE = (
    "It depends on the simulations that the same process ran before, as a worker's process does: "
    "state in a module's globals, a cache, a file, or a generator of numbers that is made when the "
    "module is imported. Make all that a simulation changes inside the function, its generator "
    "too: rng = numpy.random.default_rng(seed)."
)

REFERENCE = Setting()

AGAIN = Condition(
    "again",
    (Setting("nothing is different but the process and the time"),),
    "There is chance that doesn't come from `seed`: a generator of numbers that isn't "
    "made from it (random, numpy.random, default_rng() without a seed, uuid, os.urandom), "
    "the clock, a process's number or working directory, an object's address (id, or a set of "
    "objects that define no __hash__), or threads that race. Draw everything from one generator: "
    "rng = numpy.random.default_rng(seed).",
    frozenset({Source.CHANCE, Source.CLOCK}),
)
"""The condition that changes nothing: what differs there is chance."""

CONDITIONS = (
    AGAIN,
    Condition(
        "hash-seed",
        tuple(
            Setting(f"{HASH_VARIABLE}={seed} instead of 0", {HASH_VARIABLE: str(seed)})
            for seed in _HASH_SEEDS
        ),
        "It depends on the hashes of text: iteration over a set, or hash(). Iterate over "
        "sorted(the_set), and use hashlib for hashes. Workers fix the hash seed, so that runs "
        "agree with each other, but nowhere else does the model give the same.",
        frozenset({Source.HASH}),
    ),
    Condition(
        "bytecode",
        (Setting("the process compiled the code, instead of loading bytecode", is_compiled=False),),
        "It depends on the order of a set that is written in the code, as in {'a', 'b', 'c'}: "
        "Python keeps it in another order in __pycache__ than when it compiles the code. A "
        "worker's first process and its next ones disagree: iterate over sorted(the_set).",
        frozenset({Source.HASH}),
    ),
    Condition(
        "directory",
        (Setting("the bundle is in another directory", is_elsewhere=True),),
        "It depends on where the bundle is: os.getcwd(), __file__ or a path in the results, or "
        "the order in which files are listed. Workers unpack bundles in directories of their "
        "own: iterate over sorted(listing), and keep paths out of results.",
        frozenset({Source.PLACE}),
    ),
    Condition(
        "threads",
        (
            Setting(
                f"OMP_NUM_THREADS and the like are {_THREADS} instead of 1",
                dict.fromkeys(THREAD_VARIABLES, str(_THREADS)),
            ),
        ),
        "It depends on the number of threads: threads of BLAS or OpenMP add up in another "
        "order, or work is divided by their number. Workers give each simulation one thread, "
        "so that runs agree with each other; elsewhere set OMP_NUM_THREADS=1.",
        frozenset({Source.THREADS}),
    ),
    Condition(
        "time-zone",
        # One of them has another date than here at any time of the day.
        tuple(Setting(f"TZ={zone}", {"TZ": zone}) for zone in _zones()),
        "It depends on local time: datetime.now(), date.today(), time.localtime(), or a "
        "timestamp without a zone. Make the date a parameter, and keep to UTC.",
        frozenset({Source.CLOCK}),
    ),
    Condition(
        "order",
        (Setting("the same process ran them in the opposite order", is_backwards=True),),
        _STATE,
        frozenset({Source.STATE, Source.FILES}),
    ),
    Condition(
        "warm",
        (Setting("the same process ran other seeds before", is_warm=True),),
        _STATE,
        frozenset({Source.STATE, Source.FILES}),
    ),
    Condition(
        "files",
        (Setting("an earlier process left its files in the directory", keeps_files=True),),
        "It depends on files that earlier simulations wrote in the working directory. Write "
        "to a tempfile.TemporaryDirectory, and read only what the bundle holds.",
        frozenset({Source.FILES}),
    ),
)
"""All conditions, `AGAIN` first."""
