"""The global options, which may stand before or after the command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FLAGS = frozenset({"--json", "--yes", "-y", "--quiet", "-q", "--debug"})
_VALUED = frozenset({"--env", "--config", "-f", "--provider"})
# Where a command has an option of the same letter, the letter is the command's.
_COMMANDS_WITH_OWN_F = frozenset({"logs"})


@dataclass(frozen=True)
class Options:
    """What the global options say."""

    env: str | None = None
    config: Path = Path("runtime.yaml")
    provider: str | None = None
    json: bool = False
    yes: bool = False
    quiet: bool = False
    debug: bool = False


def hoist_global_options(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the global options moved before the command.

    What follows `--` is left as it is.
    """
    has_own_f = any(argument in _COMMANDS_WITH_OWN_F for argument in arguments)
    hoisted: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            rest += [argument, *remaining]
            break
        name = argument.partition("=")[0]
        if argument in _FLAGS:
            hoisted.append(argument)
        elif name in _VALUED and not (name == "-f" and has_own_f):
            hoisted.append(argument)
            if "=" not in argument and remaining:
                hoisted.append(remaining.pop(0))
        else:
            rest.append(argument)
    return hoisted + rest
