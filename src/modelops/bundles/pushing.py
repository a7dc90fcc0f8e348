"""From a directory to a store, reading only what isn't known from an earlier push."""

from pathlib import Path

from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.packing import (
    BundleDraft,
    PackedBlob,
    PackedBundle,
    bundle_files,
    config_files,
    config_of,
    make_draft,
)
from modelops.bundles.progress import UNWATCHED, TransferProgress
from modelops.bundles.push_memory import PushMemory
from modelops.contracts import BundleRef
from modelops.core.errors import BundleChangedError


class BundlePush:
    """A bundle's directory on its way to a store.

    Attributes:
        name: the bundle's.
    """

    def __init__(self, root: Path) -> None:
        """List the files of the bundle in `root`.

        Raises:
            BundleFileError: if the bundle's files are invalid or can't be packed.
        """
        self._memory = PushMemory(root)
        files = bundle_files(root)
        telling = config_files(files)
        config = self._memory.config(telling)
        if config is None:
            config = config_of(root, files)
            self._memory.learn_config(telling, config)
        self._draft: BundleDraft = make_draft(root, files, config)
        head, *layers = self._draft.blobs
        self._blobs = [head.hashed(), *(self._memory.blob(layer) for layer in layers)]
        self.name = self._draft.name

    def packed(self) -> PackedBundle:
        """Return the bundle, packed; what isn't known is read, and nothing is written.

        Raises:
            BundleFileError: as for `pack`.
        """
        for index, blob in enumerate(self._draft.blobs):
            if self._blobs[index] is None:
                self._learn(index, blob.hashed())
        return self._finished()

    def to(
        self, store: BundleStore, repository: str, progress: TransferProgress = UNWATCHED
    ) -> BundleRef:
        """Push the bundle.

        Raises:
            BundleChangedError: if the files aren't what they were when they were listed or, by what
                is known of them, in an earlier push.
            BundleError: as for `BundleStore.push`.
        """
        unread = [index for index, blob in enumerate(self._blobs) if blob is None]
        # The config goes with what is new, not after it.
        going = [0, *unread] if unread else []
        try:
            try:
                blobs = [self._draft.blobs[index] for index in going]
                for index, blob in store.add_blobs(repository, blobs, progress):
                    self._learn(going[index], blob)
            finally:
                # What is hashed and sent needn't be once more if the rest of it fails.
                self._memory.save()
            return store.push(repository, self._finished(), progress)
        except BundleChangedError:
            self._memory.forget()
            raise

    def _learn(self, index: int, blob: PackedBlob) -> None:
        self._blobs[index] = blob
        if index:
            self._memory.learn_blob(self._draft.blobs[index], blob)

    def _finished(self) -> PackedBundle:
        return self._draft.packed([blob for blob in self._blobs if blob is not None])
