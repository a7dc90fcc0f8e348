"""Compiles a spec in a process of its own and reports what `compile` touched meanwhile.

    python -m modelops.testing.provider_compiling RUNTIME_YAML

On stdout: JSON with the provider's plan, the files and sockets that were touched, and modules that
had no business there.
"""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from modelops.providers.base import ProviderPlugin
from modelops.providers.discovery import GROUP
from modelops.spec import compile_spec, load

HEAVY = frozenset({"distributed", "pulumi", "pulumi_azure_native", "pulumi_kubernetes"})
"""Libraries that take long to import, and that a plan doesn't need."""

# Events of the interpreter (PEP 578) by which a program reads, writes or asks somebody.
_TOUCHING = frozenset({"open", "sqlite3.connect"})
_TOUCHING_FAMILIES = ("os.", "shutil.", "socket.", "subprocess.", "tempfile.", "urllib.", "glob.")
_HARMLESS = frozenset({"os.putenv", "os.unsetenv"})


def main(path: str) -> None:
    """Report on one spec."""
    plan = compile_spec(load(Path(path)), base=Path(path).parent, check_bundles=False)
    (point, *_) = entry_points(group=GROUP, name=plan.provider.name)
    provider: ProviderPlugin = point.load()()
    # What is imported only when it's needed is imported now.
    first = provider.compile(plan)
    heavy = sorted(HEAVY & set(sys.modules))
    touched: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        is_touching = event in _TOUCHING or event.startswith(_TOUCHING_FAMILIES)
        if listening and is_touching and event not in _HARMLESS:
            touched.append(f"{event} {arguments[:1]}")

    listening = True
    sys.addaudithook(note)
    second = provider.compile(plan)
    listening = False
    report = {
        "plans": [[stack.to_json() for stack in made.stacks] for made in (first, second)],
        "touched": touched,
        "heavy": heavy,
    }
    sys.stdout.write(json.dumps(report, allow_nan=False))


if __name__ == "__main__":
    main(sys.argv[1])
