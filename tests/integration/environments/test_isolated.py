from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from environment_bundles import Machine, run_in
from modelops.core.errors import BundleError
from modelops.environments import EnvironmentCache, isolated

pytestmark = pytest.mark.integration

NUMPY = metadata.version("numpy")


def test_a_bundle_gets_its_own_versions(machine: Machine) -> None:
    # What the worker has, in another version, and a package that the worker hasn't.
    machine.wheel("filelock", "0.1")
    machine.wheel("seir", "1.0", "filelock<1")

    environment = machine.cache().prepare(machine.bundle("seir"), "isolated")

    assert environment.paths == ()
    said = run_in(environment, "import filelock, seir; print(filelock.VERSION, seir.VERSION)")
    assert said == "0.1 1.0"


def test_our_program_runs_with_the_workers_packages_and_no_others(machine: Machine) -> None:
    environment = machine.cache().prepare(machine.bundle(), "isolated")

    code = "import modelops.worker.child, numpy, pyarrow; print(numpy.__version__)"
    assert run_in(environment, code) == NUMPY
    version = "from importlib.metadata import version; print(version('numpy'))"
    assert run_in(environment, version) == NUMPY
    look = "from importlib.util import find_spec; print(find_spec('dask'), find_spec('pandas'))"
    assert run_in(environment, look) == "None None"


def test_the_bundles_own_version_of_what_we_need_comes_first(machine: Machine) -> None:
    machine.wheel("narwhals", "99.0", narwhals="raise ImportError('not the real one')")

    with pytest.raises(BundleError, match="not the real one") as caught:
        machine.cache().prepare(machine.bundle("narwhals"), "isolated")

    assert "ModelOps can't run with the bundle's packages" in caught.value.message
    assert "narwhals" in caught.value.hint
    assert machine.entries() == []


def test_numpy_1_gets_a_pyarrow_that_runs_with_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.wheel("numpy", "1.26.4")
    machine.wheel("pyarrow", "25.0")
    machine.wheel("pyarrow", "26.0")
    # These are not the real ones, so our program can't run with them.
    monkeypatch.setattr(isolated, "_PROGRAM", "import pyarrow")

    environment = machine.cache().prepare(machine.bundle("numpy<2"), "isolated")

    said = run_in(environment, "import numpy, pyarrow; print(numpy.VERSION, pyarrow.VERSION)")
    assert said == "1.26.4 25.0"


def test_bundles_that_ask_for_nothing_share_one(machine: Machine) -> None:
    cache = machine.cache()

    one, other = (cache.prepare(machine.bundle(name=name), "isolated") for name in ("a", "b"))

    assert one == other
    assert len(machine.entries()) == 1


def test_the_digest_says_what_can_be_imported(machine: Machine, tmp_path: Path) -> None:
    machine.wheel("seir", "1.0")
    plain, added = machine.bundle(name="plain"), machine.bundle("seir", name="added")
    cache = machine.cache()
    layered, isolated = (cache.prepare(plain, mode) for mode in ("layered", "isolated"))
    with_package = cache.prepare(added, "isolated")
    elsewhere = EnvironmentCache(tmp_path / "elsewhere").prepare(added, "isolated")

    assert len({layered.digest, isolated.digest, with_package.digest}) == 3
    assert elsewhere.digest == with_package.digest
    assert elsewhere.interpreter != with_package.interpreter


def test_an_environment_without_its_interpreter_is_made_again(machine: Machine) -> None:
    cache, bundle = machine.cache(), machine.bundle()
    first = cache.prepare(bundle, "isolated")
    Path(first.interpreter).unlink()

    assert cache.prepare(bundle, "isolated") == first
    assert run_in(first, "print(1)") == "1"
    assert len(machine.entries()) == 1


def test_what_cannot_be_installed_is_said_by_uv(machine: Machine) -> None:
    with pytest.raises(BundleError, match="no-such-distribution") as caught:
        machine.cache().prepare(machine.bundle("no-such-distribution"), "isolated")

    assert "the index" in caught.value.hint
    assert machine.entries() == []
