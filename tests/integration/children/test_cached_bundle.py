"""Children that run a bundle of the cache: they hold it, and leave it as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from integration.children.conftest import MakeTask
from modelops.bundles.cache import BundleCache
from modelops.bundles.layout_store import LayoutStore
from modelops.bundles.packing import pack
from modelops.contracts import SimStatus
from modelops.worker.outputs import from_ipc
from modelops.worker.warm_child import WarmChild

pytestmark = pytest.mark.integration

MODEL = """
import os
from pathlib import Path

def simulate(params, seed):
    Path("data/out.csv").write_text("x")
    Path("scratch.txt").write_text("x")
    beside = (Path(__file__).parent / "data/in.csv").read_text()
    return {"relative": open("data/in.csv").read(), "beside": beside, "cwd": os.getcwd()}

def dies(params, seed):
    os._exit(1)
"""


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "registry")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "data").mkdir(parents=True)
    manifest = {"name": "files", "version": "1", "entrypoint": "model:simulate"}
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / "model.py").write_text(MODEL)
    (root / "data/in.csv").write_text("observed")
    return root


def test_a_child_holds_its_bundle_and_leaves_it_as_it_is(
    store: LayoutStore, root: Path, tmp_path: Path, make_task: MakeTask
) -> None:
    cache = BundleCache(tmp_path / "cache", max_bytes=0)
    ref = store.push("files", pack(root))
    (root / "data/in.csv").write_text("other")
    other = store.push("files", pack(root))
    with cache.open(ref, store) as bundle:
        child = WarmChild(bundle.folder)
    try:
        assert child.simulate(make_task("dies")).status is SimStatus.FAILED
        cache.open(other, store).close()
        answer = child.simulate(make_task("simulate"))
        assert answer.status is SimStatus.COMPLETED, answer.failure
        (row,) = from_ipc(answer.tables["output"]).to_pylist()
        assert (row["relative"], row["beside"]) == ("observed", "observed")
        workplace = Path(row["cwd"])
        assert not workplace.is_relative_to(tmp_path / "cache")
        # It was opened by its fingerprint: what the model wrote isn't in it.
        assert BundleCache(tmp_path / "cache").open(ref, store).folder == bundle.folder
        assert sorted(path.name for path in (bundle.folder / "data").iterdir()) == ["in.csv"]
    finally:
        child.close()
    assert not workplace.exists()


LEAVE_A_DIRECTORY = """\
import os, sys
from pathlib import Path
from modelops.worker.scratch import Scratch
print(Scratch(Path(sys.argv[1])).folder, flush=True)
if len(sys.argv) > 2:
    os.kill(os.getpid(), 9)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_by_the_next(root: Path, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-c", LEAVE_A_DIRECTORY, str(root)]

    def start(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *more],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start() as living:
        assert living.stdout is not None
        kept = Path(living.stdout.readline().strip())
        with start("die") as killed:
            left = Path(killed.communicate()[0].strip())
        assert left.exists()
        with start() as following:
            assert following.stdout is not None
            Path(following.stdout.readline())
            assert not left.exists()
            assert (kept / "data/in.csv").read_text() == "observed"
            following.communicate()
        living.communicate()
