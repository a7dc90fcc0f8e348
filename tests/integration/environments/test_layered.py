from __future__ import annotations

import shutil
import sys
import timeit
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from environment_bundles import Machine, run_in
from modelops.core.errors import BundleError
from modelops.environments import BundleEnvironment, EnvironmentCache

pytestmark = pytest.mark.integration

NUMPY = metadata.version("numpy")


def _site(environment: BundleEnvironment) -> set[str]:
    (folder,) = environment.paths
    return {path.stem for path in Path(folder).iterdir() if path.suffix == ".py"}


def test_asking_again_takes_no_time(machine: Machine) -> None:
    machine.wheel("seir", "1.0")
    cache = machine.cache()
    met, added = machine.bundle("numpy", name="met"), machine.bundle("seir", name="added")
    for bundle in (met, added):
        cache.prepare(bundle, "layered")

        times = timeit.repeat(lambda b=bundle: cache.prepare(b, "layered"), number=1, repeat=50)

        assert min(times) < 1e-3


def test_an_overlay_has_what_the_worker_lacks_and_nothing_else(machine: Machine) -> None:
    # No wheel of numpy is there: the worker's own must do, also for what was installed.
    machine.wheel("seir", "1.0", "numpy>=1.20", "seirlib")
    machine.wheel("seirlib", "0.5")

    environment = machine.cache().prepare(machine.bundle("seir", "numpy"), "layered")

    assert environment.interpreter == sys.executable
    assert _site(environment) == {"seir", "seirlib"}
    # Compiled before anybody imports it.
    assert list(Path(environment.paths[0], "__pycache__").glob("seir.*.pyc"))
    said = run_in(environment, "import seir, numpy; print(seir.VERSION, numpy.__version__)")
    assert said == f"1.0 {NUMPY}"


def test_an_older_version_that_goes_with_the_workers_is_taken(machine: Machine) -> None:
    machine.wheel("seir", "1.0", "numpy")
    machine.wheel("seir", "2.0", "numpy<1")

    environment = machine.cache().prepare(machine.bundle("seir"), "layered")

    assert run_in(environment, "import seir; print(seir.VERSION)") == "1.0"


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("numpy<1", f"asks for numpy<1: numpy {NUMPY} is installed"),
        ("seir", f"numpy=={NUMPY}"),
        (
            "numpy @ https://example.invalid/numpy-1-py3-none-any.whl",
            "is installed from elsewhere",
        ),
    ],
)
def test_a_conflict_with_the_worker_points_to_isolated_environments(
    machine: Machine, requirement: str, said: str
) -> None:
    machine.wheel("seir", "1.0", "numpy<1")

    with pytest.raises(BundleError) as caught:
        machine.cache().prepare(machine.bundle(requirement), "layered")

    assert said in caught.value.message
    assert "environment: isolated" in caught.value.hint
    assert machine.entries() == []


def test_what_is_nowhere_is_no_conflict(machine: Machine) -> None:
    with pytest.raises(BundleError, match="no-such-distribution") as caught:
        machine.cache().prepare(machine.bundle("no-such-distribution>3"), "layered")

    assert "isolated" not in caught.value.hint


def test_a_bundle_may_bring_its_own_wheels(machine: Machine) -> None:
    wheel = machine.wheel("seir", "1.0")
    bundle = machine.bundle("--find-links wheels", "seir")
    (bundle / "wheels").mkdir()
    wheel.rename(bundle / "wheels" / wheel.name)

    environment = machine.cache().prepare(bundle, "layered")

    assert _site(environment) == {"seir"}


def test_other_requirements_are_noticed(machine: Machine) -> None:
    machine.wheel("seir", "1.0")
    machine.wheel("seir", "2.0")
    cache = machine.cache()
    bundle = machine.bundle("-r more.txt", more_txt="seir==1.0\n")
    first = cache.prepare(bundle, "layered")

    (bundle / "more.txt").write_text("seir == 2.0\n")
    second = cache.prepare(bundle, "layered")

    assert [run_in(e, "import seir; print(seir.VERSION)") for e in (first, second)] == [
        "1.0",
        "2.0",
    ]
    assert first.digest != second.digest


def test_an_environment_that_lost_a_part_is_made_again(machine: Machine) -> None:
    machine.wheel("seir", "1.0")
    cache, bundle = machine.cache(), machine.bundle("seir")
    first = cache.prepare(bundle, "layered")
    shutil.rmtree(first.paths[0])

    assert cache.prepare(bundle, "layered") == first
    assert _site(first) == {"seir"}


def test_the_digest_is_of_what_was_installed_not_of_where(machine: Machine, tmp_path: Path) -> None:
    machine.wheel("seir", "1.0")
    bundles = [machine.bundle("seir", name="a"), machine.bundle("seir>0", name="b")]
    one = machine.cache().prepare(bundles[0], "layered")
    other = EnvironmentCache(tmp_path / "elsewhere").prepare(bundles[1], "layered")
    assert one.paths != other.paths
    assert one.digest == other.digest

    # Another wheel of the same version makes another environment.
    machine.wheel("seir", "1.0", extra="")
    third = EnvironmentCache(tmp_path / "third").prepare(bundles[0], "layered")
    assert third.digest != one.digest


def test_threads_that_ask_at_once_get_the_same(machine: Machine) -> None:
    machine.wheel("seir", "1.0")
    cache, bundle = machine.cache(), machine.bundle("seir")

    with ThreadPoolExecutor(8) as pool:
        environments = set(pool.map(lambda _: cache.prepare(bundle, "layered"), range(8)))

    assert len(environments) == 1
    assert len(machine.entries()) == 1
