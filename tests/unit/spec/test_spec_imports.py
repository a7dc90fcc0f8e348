import subprocess
import sys

import pytest


@pytest.mark.integration
def test_importing_the_spec_loads_nothing_heavy() -> None:
    code = (
        "import sys, modelops.spec\n"
        "print([name for name in ('pulumi', 'distributed', 'dask', 'optuna', 'numpy', 'pyarrow',"
        " 'sqlalchemy', 'jsonschema', 'typer') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
