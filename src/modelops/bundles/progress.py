"""How somebody watches the bytes of a push or a pull."""

from typing import Protocol


class TransferProgress(Protocol):
    """Is told how a transfer goes, by several threads at once."""

    def expect(self, size: int) -> None:
        """`size` bytes more are going to be moved."""
        ...

    def moved(self, size: int) -> None:
        """`size` bytes more are moved; less than nothing if they have to be moved again."""
        ...


class NoProgress:
    """Where nobody watches."""

    def expect(self, size: int) -> None:
        """Pass over it."""

    def moved(self, size: int) -> None:
        """Pass over it."""


UNWATCHED = NoProgress()
