"""The tree of errors: a class a cause, each saying what happened, where, and what to do next."""


class ModelOpsError(Exception):
    """Something that a person can act on.

    Attributes:
        message: what happened, and where.
        hint: what to do next; empty where the message says it all.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and, on a line of its own, what to do next."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(ModelOpsError):
    """The command was called in a wrong way."""

    exit_code = 2


class SpecError(ModelOpsError):
    """The RuntimeSpec, or another file that a person wrote, is invalid."""

    exit_code = 2


class NotThereError(ModelOpsError):
    """What was asked for doesn't exist: no such run, stack not up."""

    exit_code = 4


class HomeError(ModelOpsError):
    """The folder that ModelOps keeps its own in can't be used."""

    def __init__(self, folder: object, why: str) -> None:
        super().__init__(
            f"{folder} can't be used: {why}.",
            hint="ModelOps keeps all that is its own there. Set MODELOPS_HOME to a folder that you "
            "may write.",
        )


class EngineError(ModelOpsError):
    """The Pulumi engine couldn't be found or failed."""


class ProviderError(ModelOpsError):
    """A provider plugin is missing, broken or can't do what was asked."""


class SecretError(ModelOpsError):
    """A secret isn't there, or can't be read."""


class ProcessError(ModelOpsError):
    """A process of ours couldn't be started or ended."""


class BundleError(ModelOpsError):
    """A bundle is invalid, can't be moved or isn't what its digest says."""


class RegistryRefusalError(BundleError):
    """A registry answered that it won't do what was asked.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BundleFileError(BundleError):
    """A bundle's own files are invalid; the person who wrote them can mend it."""

    exit_code = 2


class BundleChangedError(BundleFileError):
    """A bundle's file changed while it was packed or pushed."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} was changed while the bundle was packed.",
            hint="Do it again when nothing writes to the bundle's directory.",
        )


class BundleNotThereError(BundleError, NotThereError):
    """A bundle, a tag or a repository isn't there, or there is no registry to look in."""

    exit_code = 4


class SignatureError(BundleError):
    """A bundle isn't signed, or not by whom it should be."""


class SigningKeyError(BundleError):
    """A key can't be read, or isn't one that bundles are signed or checked with."""

    exit_code = 2


class AlgorithmError(ModelOpsError):
    """An algorithm is unknown, or its settings are wrong."""

    exit_code = 2


class CalibrationError(ModelOpsError):
    """Simulated and observed data don't fit together, or a loss isn't a number."""


class ServiceError(ModelOpsError):
    """Simulations can't be run: no scheduler, no workers."""


class ResultStoreError(ModelOpsError):
    """Results of simulations can't be stored, listed or removed.

    No result that is stored already is in danger; what isn't stored is simulated again.
    """


class JournalError(ModelOpsError):
    """The journal can't be read or written, or it contradicts what is replayed."""


class RunFailedError(ModelOpsError):
    """The run ended without a result."""


class RunStateError(ModelOpsError):
    """The run is in a state in which what was asked for can't be done."""
