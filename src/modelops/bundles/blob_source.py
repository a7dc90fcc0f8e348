"""Blobs of a store in a file or in memory: the same, wherever the store has them from."""

import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO

from modelops.bundles.artifact import Descriptor
from modelops.bundles.receiving import BlobReceiver, Progress, open_empty
from modelops.contracts import BundleRef


class BlobSource(ABC):
    """The half of a `BundleStore` that gives blobs."""

    def fetch_blob(
        self, ref: BundleRef, descriptor: Descriptor, target: Path, progress: Progress | None = None
    ) -> None:
        """Write a blob to a file; see `BundleStore.fetch_blob`."""
        with open_empty(target) as file:
            self._receive(ref, descriptor, file, progress)

    def read_blob(
        self, ref: BundleRef, descriptor: Descriptor, progress: Progress | None = None
    ) -> memoryview:
        """Read a blob into memory; see `BundleStore.read_blob`."""
        memory = io.BytesIO()
        self._receive(ref, descriptor, memory, progress)
        return memory.getbuffer()

    def _receive(
        self, ref: BundleRef, descriptor: Descriptor, target: BinaryIO, progress: Progress | None
    ) -> None:
        where = self._place_of(ref, descriptor)
        self._read_into(BlobReceiver(descriptor, target, where, progress), ref, descriptor)

    @abstractmethod
    def _place_of(self, ref: BundleRef, descriptor: Descriptor) -> str:
        """Return what a blob is called in errors."""

    @abstractmethod
    def _read_into(self, receiver: BlobReceiver, ref: BundleRef, descriptor: Descriptor) -> None:
        """Give all of a blob to its receiver.

        Raises:
            BundleError: if it isn't there, can't be read or was altered.
        """
