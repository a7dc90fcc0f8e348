"""A bundle whose model does what its parameters say, and children that run it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelops.contracts import BundleRef, Scalar, SimTask
from modelops.worker.warm_child import WarmChild

REF = BundleRef("tests/behaviours", f"sha256:{'0' * 64}")
MakeTask = Callable[..., SimTask]

MODEL = """
import os, signal, subprocess, sys, time

STARTED = []

def simulate(params, seed):
    STARTED.append(seed)
    return {"total": params["a"] + params["b"], "seed": str(seed), "calls": len(STARTED)}

def kinds(params, seed):
    names = {name: type(value).__name__ for name, value in params.items()}
    return {"params": type(params).__name__, "seed": type(seed).__name__, **names}

def writes(params, seed):
    print("printed")
    os.write(1, b"straight to 1\\\\n" * 20_000)
    os.write(2, bytes(range(256)))
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    return {"x": 1}

def raises(params, seed):
    print("just before")
    raise ValueError("beta must be positive")

def exits(params, seed):
    sys.exit(3)

def ends(params, seed):
    os.write(1, b"last words")
    os._exit(7)

def prints_and_ends(params, seed):
    print("last words")
    os._exit(7)

def is_killed(params, seed):
    os.kill(os.getpid(), signal.SIGKILL)

def dies_once(params, seed):
    if not os.path.exists(params["mark"]):
        open(params["mark"], "w").close()
        os.kill(os.getpid(), signal.SIGSEGV)
    return {"x": 1}

def leaves_a_process(params, seed):
    # It holds the pipes open for longer than its parent lives.
    if os.fork() == 0:
        time.sleep(600)
    os._exit(1)

def hangs(params, seed):
    print("hanging", flush=True)
    time.sleep(600)

def chatters(params, seed):
    while True:
        print("x" * 1000)

def returns_none(params, seed):
    return None

def environment(params, seed):
    return {"names": sorted(os.environ), "values": [os.environ[n] for n in sorted(os.environ)]}
""".replace("\\\\n", "\\n")

TARGETS = """
from modelops.calibration import MetricAlignment, Target

def prevalence():
    return Target(data={"total": [3.0]}, alignment=MetricAlignment("total"))

MADE = []

def counts():
    # It fails at first; then its weight is how often it was made.
    MADE.append(None)
    if len(MADE) == 1:
        raise OSError("not yet")
    return Target({"total": [3.0]}, alignment=MetricAlignment("total"), weight=len(MADE) - 1)

def nothing():
    return None

def broken():
    raise RuntimeError("the data are gone")
"""


@pytest.fixture(scope="session")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "model.py").write_text(MODEL)
    (folder / "targets.py").write_text(TARGETS)
    # What shadows our own modules and the standard library's must not break the child.
    (folder / "modelops.py").write_text("raise RuntimeError('not this one')")
    (folder / "argparse.py").write_text("raise RuntimeError('not this one')")
    return folder


@pytest.fixture(scope="session")
def child(bundle_dir: Path) -> Iterator[WarmChild]:
    child = WarmChild(bundle_dir)
    yield child
    child.close()


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """A task that calls a function of the bundle's `model.py`."""

    def make(function: str, seed: int = 1, **params: Scalar) -> SimTask:
        return SimTask(REF, f"model:{function}", params, seed)

    return make
