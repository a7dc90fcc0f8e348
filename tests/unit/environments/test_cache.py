from __future__ import annotations

import re
import sys
from importlib import metadata

import pytest

from environment_bundles import Machine
from modelops.core.errors import BundleError, BundleFileError

NUMPY = metadata.version("numpy")


def test_nothing_is_made_for_what_is_installed(machine: Machine) -> None:
    cache = machine.cache()

    plain = cache.prepare(machine.bundle(), "layered")
    met = cache.prepare(machine.bundle(f"numpy=={NUMPY}", "pyarrow"), "layered")

    assert plain == met
    assert (met.interpreter, met.paths) == (sys.executable, ())
    assert re.fullmatch("[0-9a-f]{64}", met.digest)
    assert machine.entries() == []


def test_unreadable_requirements_are_the_bundles_fault(machine: Machine) -> None:
    for mode in ("layered", "isolated"):
        with pytest.raises(BundleFileError):
            machine.cache().prepare(machine.bundle("numpy >>> 2"), mode)


def test_a_root_that_cannot_be_written_is_said(machine: Machine) -> None:
    machine.wheel("seir", "1.0")
    machine.root.write_text("a file")

    with pytest.raises(BundleError, match="can't be made in"):
        machine.cache().prepare(machine.bundle("seir"), "layered")
