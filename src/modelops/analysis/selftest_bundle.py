"""The bundle of a self-test: that of a run, with simulated numbers in the place of the data."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from modelops.analysis.run_code import RunCode
from modelops.bundles.discovery import effective_registry
from modelops.bundles.registry_file import BundleRegistry, RegisteredFunction, write_registry
from modelops.core.errors import BundleFileError
from modelops.worker.target_points import REPLICATE

MODULE = "modelops_selftest_targets"
_FILE = f"{MODULE}.py"
_IGNORE = ".mopsignore"

_CODE = '''\
"""The bundle's targets with simulated numbers for data, written by mops adaptive selftest."""

from importlib import import_module

from modelops.calibration.synthetic import with_values

_VALUES = {values}


def _made(module, function, target_id):
    made = import_module(module)
    for part in function.split("."):
        made = getattr(made, part)
    return with_values(made(), _VALUES[target_id])
'''
_FUNCTION = """

def {name}():
    return _made({module!r}, {function!r}, {target_id!r})
"""


def simulated_values(points: Mapping[str, pa.Table]) -> dict[str, list[float]]:
    """Return target → the numbers of its first replicate, from what `fits_of` gives."""
    column = f"{REPLICATE}0"
    return {name: table.column(column).to_pylist() for name, table in points.items()}


def write_selftest_bundle(
    folder: Path, code: RunCode, values: Mapping[str, Sequence[float]]
) -> RunCode:
    """Write the bundle, and return its code, with targets of the same ids.

    The same code and values give the same files.

    Args:
        folder: where; it mustn't be there yet.
        code: of the run.
        values: target id → a number for each of its points.

    Raises:
        BundleFileError: if the bundle has a module of the name that is written.
    """
    shutil.copytree(
        code.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    if (folder / _FILE).exists():
        raise BundleFileError(
            f"The bundle has a file {_FILE}, which a self-test writes.", hint="Rename it."
        )
    # All that is there was packed; what is written now is to be packed too.
    (folder / _IGNORE).unlink(missing_ok=True)
    functions = {target_id: f"target_{number}" for number, target_id in enumerate(code.targets)}
    lines = [f"    {name!r}: {[*map(float, numbers)]!r}," for name, numbers in values.items()]
    text = _CODE.format(values="\n".join(["{", *lines, "}"]))
    for target_id, name in functions.items():
        module, _, function = code.targets[target_id].partition(":")
        text += _FUNCTION.format(name=name, module=module, function=function, target_id=target_id)
    (folder / _FILE).write_text(text, encoding="utf-8")
    targets = {
        target_id: RegisteredFunction(path=_FILE, entrypoint=f"{MODULE}:{name}")
        for target_id, name in functions.items()
    }
    models = effective_registry(code.folder).models
    write_registry(folder, BundleRegistry(models=models, targets=targets))
    entrypoints = {name: item.entrypoint for name, item in targets.items()}
    return RunCode(folder, code.fn_ref, entrypoints, code.packages)
