"""Logs of this machine's processes: files that grow, are put aside and begin anew."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from modelops.providers.base import RUN_PART, Component, ProviderPlan
from modelops.providers.local.layout import LocalLayout, rotated

# A file can't tell when something was appended to it.
_RETRY_SECONDS = 0.25
# What has no newline for so long is no line; it is given in pieces.
_MAX_LINE_BYTES = 2**20
_BLOCK_BYTES = 2**16


def parts(plan: ProviderPlan, layout: LocalLayout) -> Mapping[str, Component]:
    """Return every process that has a log and its stack, in the order of the stacks."""
    stacks = {
        resource.name: stack.component for stack in plan.stacks for resource in stack.resources
    }
    order = list(Component)
    found = {path.stem: _stack(path.stem, stacks) for path in sorted(layout.logs.glob("*.log"))}
    return dict(sorted(found.items(), key=lambda item: order.index(item[1])))


def read(path: Path, tail: int | None = None) -> Iterator[str]:
    """Yield the lines of a log, those put aside first; or the last ones only."""
    files = _open_all(path)
    try:
        for file in _from_tail(files, tail):
            yield from map(_text, _lines(file))
    finally:
        for file in files:
            file.close()


def follow(path: Path, tail: int | None = None) -> Iterator[str]:
    """Yield the lines of a log as they come, without end; "" twice a second while none does.

    A log that was put aside, removed or emptied meanwhile is gone on with from its beginning.
    """
    current: BinaryIO | None = None
    try:
        for file in _from_tail(_open_all(path), tail):
            if current is not None:
                yield from map(_text, _lines(current))
                current.close()
            current = file
        while True:
            if current is not None:
                yield from _whole_lines(current)
            newer = _newer(path, current)
            if newer is not None:
                if current is not None:
                    # What it wrote last, before the other file took its name.
                    yield from map(_text, _lines(current))
                    current.close()
                current = newer
                continue
            if current is not None and os.fstat(current.fileno()).st_size < current.tell():
                current.seek(0)
                continue
            yield ""
            time.sleep(_RETRY_SECONDS)
    finally:
        if current is not None:
            current.close()


def _stack(part: str, stacks: Mapping[str, Component]) -> Component:
    """Return the stack of a part, which the spec may no longer name."""
    if part.startswith(RUN_PART):
        return Component.ADAPTIVE
    return stacks.get(part, Component.WORKSPACE)


def _open_all(path: Path) -> list[BinaryIO]:
    """Open a log and the one put aside, the older first."""
    files: list[BinaryIO] = []
    # The newer first: if it's put aside in between, both names lead to the same file.
    for name in (path, rotated(path)):
        with suppress(FileNotFoundError):
            file = name.open("rb")
            if files and os.path.samestat(os.fstat(file.fileno()), os.fstat(files[0].fileno())):
                file.close()
            else:
                files.insert(0, file)
    return files


def _from_tail(files: list[BinaryIO], tail: int | None) -> list[BinaryIO]:
    """Move the files to where their last lines begin; return those that are to be read."""
    if tail is None:
        return files
    for position in reversed(range(len(files))):
        tail -= _seek_lines(files[position], tail)
        if tail <= 0:
            return files[position:]
    return files


def _seek_lines(file: BinaryIO, wanted: int) -> int:
    """Move a file to the beginning of its last lines; return how many those are."""
    end = position = file.seek(0, os.SEEK_END)
    if wanted == 0 or end == 0:
        return 0
    found = 0
    while position > 0:
        block = min(_BLOCK_BYTES, position)
        position -= block
        file.seek(position)
        data = file.read(block)
        # The newline at the very end ends a line and begins none.
        at = len(data) - (position + block == end and data.endswith(b"\n"))
        while (at := data.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == wanted:
                file.seek(position + at + 1)
                return found
    file.seek(0)
    return found + 1


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_MAX_LINE_BYTES):
        yield line


def _whole_lines(file: BinaryIO) -> Iterator[str]:
    """Yield the lines that have ended; the file stays at the beginning of one that hasn't."""
    for line in _lines(file):
        if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield _text(line)


def _newer(path: Path, current: BinaryIO | None) -> BinaryIO | None:
    """Return the file that has the log's name now, if it isn't the one that is read."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    if current is not None:
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), os.fstat(current.fileno())):
                file.close()
                return None
    return file


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\n") + "\n"
