"""A run that was named on the command line, with its code and its stored outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelops.analysis.known_run import KnownRun
from modelops.analysis.run_code import RunCode, open_code
from modelops.analysis.stored_outputs import StoredOutputs
from modelops.cli.options import Options
from modelops.cli.registry_place import registry_from
from modelops.cli.runs import choose_run, journal_of, object_store_of, progress_of
from modelops.cli.session import open_chain
from modelops.infra.chain import StackChain
from modelops.providers.base import REGISTRY_BINDINGS, Component
from modelops.runner.progress import RunProgress


@dataclass(frozen=True)
class NamedRun:
    """A run and its environment.

    Attributes:
        chain: the environment's stacks.
        run: what the journal holds of it.
        progress: how far it has come.
        store_url: where its results and outputs are.
    """

    chain: StackChain
    run: KnownRun
    progress: RunProgress
    store_url: str

    @contextmanager
    def code(self) -> Iterator[RunCode]:
        """Open the run's code, fetched if it isn't here."""
        with (
            self.chain.reach(Component.REGISTRY, REGISTRY_BINDINGS) as bindings,
            open_code(self.run.plan, registry_from(bindings)) as code,
        ):
            yield code

    def outputs(self, code: RunCode) -> StoredOutputs:
        """Return what the result store has of the run's simulations."""
        run = self.run
        return StoredOutputs(
            self.store_url, run.run_id, run.plan, code.fn_ref, code.packages.digest
        )


@contextmanager
def named_run(options: Options, run_id: str | None) -> Iterator[NamedRun]:
    """Give a block the run that was named, or the newest one.

    Raises:
        NotThereError: if there's no such run, or the stack of its database isn't up.
    """
    chain = open_chain(options)
    run, progress = read_run(chain, choose_run(chain, run_id))
    with object_store_of(chain) as store_url:
        yield NamedRun(chain, run, progress, store_url)


def read_run(chain: StackChain, run_id: str) -> tuple[KnownRun, RunProgress]:
    """Return what the journal holds of a run, and how far it has come.

    Raises:
        NotThereError: if there's no such run, or the stack of its database isn't up.
    """
    with journal_of(chain, run_id) as journal:
        return KnownRun.read(journal, run_id), progress_of(journal, run_id)
