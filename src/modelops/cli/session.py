"""From the command line to a chain of stacks: spec, plan, provider, code pinned by digest."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelops.bundles.address import remove_bundle_env
from modelops.bundles.pushing import BundlePush
from modelops.bundles.stores import open_store, resolve
from modelops.bundles.validate import refuse_invalid
from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.cli.registry_place import note, registry_from
from modelops.cli.signing import note_provenance, refuse_unsigned
from modelops.cli.spec_file import compile_plan
from modelops.cli.transfer_bar import transfer_bar
from modelops.contracts import BindingOutputs, BundleRef, RunPlan
from modelops.core.errors import NotThereError, SpecError, UsageError
from modelops.core.naming import check_dns_label
from modelops.core.settings import Home
from modelops.core.shared_plugins import start_plugins
from modelops.providers.base import Component
from modelops.providers.discovery import find_provider
from modelops.spec.plan import AlgorithmPlan, BundleSource, CompiledPlan

if TYPE_CHECKING:
    from modelops.infra.chain import StackChain


def open_chain(options: Options, *, operates: bool = False) -> "StackChain":
    """Return the chain of the spec's environment; the engine's steps are shown as they come.

    A command that `operates` on stacks, instead of only reading what they are, has the engine's
    plugins started now.

    Raises:
        SpecError: with every error of the file.
        ProviderError: if the provider isn't there.
    """
    plan = compile_plan(options, check_bundles=False)
    provider = find_provider(plan.provider.name)
    if operates:
        start_plugins(provider.shared_plugins)
    # Its import takes as long as the plugins' start, which goes on meanwhile.
    from modelops.infra.chain import StackChain

    return StackChain(plan, provider, Home.current(), lambda step: say(options, f"  {step}"))


def choose_algorithm(plan: CompiledPlan, name: str | None) -> AlgorithmPlan:
    """Return the algorithm of that name, or the only one there is.

    Raises:
        UsageError: if there is none, or the choice isn't clear.
    """
    names = [algorithm.name for algorithm in plan.algorithms]
    if name is None and len(names) == 1:
        return plan.algorithms[0]
    for algorithm in plan.algorithms:
        if algorithm.name == name:
            return algorithm
    if not names:
        raise UsageError("The spec has no algorithm.", hint="Add one under spec.algorithms.")
    what = "Which algorithm?" if name is None else f"There is no algorithm {name!r}."
    raise UsageError(what, hint=f"Name one of: {', '.join(names)}")


def for_run(chain: "StackChain", algorithm: str | None, run_id: str | None) -> "StackChain":
    """Return the chain with one algorithm only, its run named as the user wants it.

    Raises:
        UsageError: if the choice of the algorithm isn't clear, or the name can't be a run's.
    """
    chosen = choose_algorithm(chain.plan, algorithm)
    if run_id is not None:
        chain.naming.stack(Component.ADAPTIVE, check_dns_label(run_id, "run-id"))
        chosen = replace(chosen, run_id=run_id)
    return replace(chain, plan=replace(chain.plan, algorithms=(chosen,)))


def for_known_run(chain: "StackChain", run_id: str, run: RunPlan) -> "StackChain":
    """Return the chain with one run only, as its journal has it, bound to what the spec says now.

    Raises:
        NotThereError: if the spec has its algorithm no more.
    """
    bound = next((item for item in chain.plan.algorithms if item.name == run.algorithm), None)
    if bound is None:
        raise NotThereError(
            f"The spec has no algorithm {run.algorithm!r}, which the run {run_id} is one of.",
            hint=f"Put {run.algorithm} back under spec.algorithms; workers and database are there.",
        )
    kept = {
        item.name: getattr(run, item.name)
        for item in fields(run)
        # Whose signature is trusted is what the spec says now.
        if item.name not in ("algorithm", "bundle_ref", "public_key")
    }
    known = replace(bound, **kept, bundle=BundleSource(ref=run.bundle_ref), run_id=run_id)
    return replace(chain, plan=replace(chain.plan, algorithms=(known,)))


def profiled(chain: "StackChain") -> "StackChain":
    """Return the chain with runs that tell where the time of their simulations goes."""
    algorithms = tuple(
        replace(item, execution=replace(item.execution, profile=True))
        for item in chain.plan.algorithms
    )
    return replace(chain, plan=replace(chain.plan, algorithms=algorithms))


def pinned_by_content(chain: "StackChain") -> "StackChain":
    """Return the chain with every bundle directory pinned by the digest that it would have.

    Nothing is pushed: the digest depends on the content alone.
    """
    refs = {}
    for algorithm in chain.plan.algorithms:
        if algorithm.bundle.directory is not None:
            packed = _bundle(algorithm.name, algorithm.bundle.directory).packed()
            repository = repository_of(chain.plan, packed.name)
            refs[algorithm.name] = BundleRef(repository, packed.digest)
    return chain.pinned(refs)


def resolved(chain: "StackChain", options: Options, registry: BindingOutputs) -> "StackChain":
    """Return the chain with every tag in the place of a digest resolved to what it names now.

    Args:
        chain: of the environment.
        options: of the command.
        registry: the registry's bindings, as this machine can use them.

    Raises:
        BundleError: if there is no such tag, or where it should be can't be read.
    """
    refs = {}
    access = registry_from(registry)
    for algorithm in chain.plan.algorithms:
        tag = algorithm.bundle.tag
        if tag is not None:
            refs[algorithm.name] = resolve(tag, access)
            say(options, f"{tag} is {refs[algorithm.name]}")
    return chain.pinned(refs)


def pushed(chain: "StackChain", options: Options, registry: BindingOutputs) -> "StackChain":
    """Push every bundle directory to the registry and resolve every tag; return the chain pinned.

    Args:
        chain: of the environment.
        options: of the command.
        registry: the registry's bindings, as this machine can use them.

    Raises:
        SpecError, BundleFileError: if a directory isn't there or isn't a valid bundle.
        BundleError: if it can't be pushed, or there is no such tag.
        SignatureError: if the spec demands a signature that a bundle hasn't; it isn't pushed.
    """
    chain = resolved(chain, options, registry)
    refs = {}
    access = registry_from(registry)
    store = open_store(access)
    for algorithm in chain.plan.algorithms:
        directory = algorithm.bundle.directory
        if directory is not None:
            bundle = _bundle(algorithm.name, directory)
            repository = repository_of(chain.plan, bundle.name)
            if algorithm.public_key is not None:
                digest = bundle.packed().digest
                refuse_unsigned(algorithm, BundleRef(repository, digest), access, directory)
            with transfer_bar(options, f"pushing {bundle.name}") as progress:
                ref = bundle.to(store, repository, progress)
            note_provenance(options, store, ref, directory)
            say(options, f"bundle {directory.name or directory}: {ref}")
            refs[algorithm.name] = ref
        elif algorithm.bundle.ref is not None:
            refuse_unsigned(algorithm, algorithm.bundle.ref, access, None)
    return chain.pinned(refs)


def refuse_dead_workspace(chain: "StackChain") -> None:
    """Check that the workspace's parts live, since a run would wait for them in vain.

    Raises:
        NotThereError: with how to heal it.
    """
    dead = chain.look(Component.WORKSPACE).dead
    if dead:
        raise NotThereError(
            f"The workspace has parts that died: {', '.join(dead)}.",
            hint="Heal it with: mops workspace up",
        )


def note_registry(chain: "StackChain", registry: BindingOutputs) -> None:
    """Write down where the environment's bundles are, for commands that don't read the spec.

    Args:
        chain: of the environment.
        registry: the registry's bindings, as its stack hands them on.
    """
    note(chain.provider_plan(), registry)


def is_registry_noted(chain: "StackChain") -> bool:
    """Return whether it's written down where the environment's bundles are: it was up before."""
    return chain.home.bundle_env_file(chain.plan.env).exists()


def forget_registry(chain: "StackChain") -> None:
    """Forget where the environment's bundles are: its registry stack is down."""
    remove_bundle_env(chain.plan.env)


def _bundle(algorithm: str, directory: Path) -> BundlePush:
    if not directory.is_dir():
        raise SpecError(
            f"spec.algorithms.{algorithm}.entrypoint.bundle: there is no directory {directory}.",
            hint="Paths are relative to the folder of runtime.yaml.",
        )
    refuse_invalid(directory)
    return BundlePush(directory)


def repository_of(plan: CompiledPlan, name: str) -> str:
    """Return the repository of a bundle: its name below the prefix of the spec's registry."""
    prefix = plan.registry.prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name
