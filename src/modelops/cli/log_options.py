"""The options of the commands that print logs, and what they ask for."""

from dataclasses import dataclass
from typing import Annotated

import typer

from modelops.providers.base import Component

Part = Annotated[
    str | None, typer.Argument(help="The part; all of them if left out.", metavar="PART")
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes, until Ctrl-C.")]
Tail = Annotated[
    int | None,
    typer.Option("--tail", "-n", help="Only so many of the last lines.", metavar="N", min=0),
]
ListParts = Annotated[bool, typer.Option("--list", help="Print which parts have a log.")]


@dataclass(frozen=True)
class LogRequest:
    """Which logs to print, and how.

    Attributes:
        part: the only one that is asked for, or None.
        component: the only stack that is asked for, or None.
        follow: whether to go on as more comes.
        tail: how many of the last lines of each part; all if None.
        only_list: whether to name the parts only.
    """

    part: str | None = None
    component: Component | None = None
    follow: bool = False
    tail: int | None = None
    only_list: bool = False
