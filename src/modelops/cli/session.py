"""From the command line to a chain of stacks: spec, plan, provider, code pinned by digest."""

from dataclasses import replace
from pathlib import Path

from modelops.bundles.address import REGISTRY_VARIABLE, remove_bundle_env, write_bundle_env
from modelops.bundles.packing import PackedBundle, pack
from modelops.bundles.stores import open_store
from modelops.bundles.validate import validate_bundle
from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.contracts import BindingOutputs, BundleRef
from modelops.core.errors import BundleFileError, SpecError, UsageError
from modelops.core.naming import check_dns_label
from modelops.core.settings import Home
from modelops.infra.chain import StackChain
from modelops.providers.base import Component
from modelops.providers.discovery import find_provider
from modelops.spec import compile_spec, load
from modelops.spec.plan import AlgorithmPlan, CompiledPlan


def compile_plan(options: Options, *, check_bundles: bool = True) -> CompiledPlan:
    """Read the spec and compile it; whether its bundles are there counts only for those who pack.

    Raises:
        SpecError: with every error of the file.
    """
    spec = load(options.config, env=options.env, provider=options.provider)
    base = options.config.absolute().parent
    return compile_spec(spec, base=base, check_bundles=check_bundles)


def open_chain(options: Options) -> StackChain:
    """Return the chain of the spec's environment; the engine's steps are shown as they come.

    Raises:
        SpecError: with every error of the file.
        ProviderError: if the provider isn't there.
    """
    plan = compile_plan(options, check_bundles=False)
    provider = find_provider(plan.provider.name)
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


def for_run(chain: StackChain, algorithm: str | None, run_id: str | None) -> StackChain:
    """Return the chain with one algorithm only, its run named as the user wants it.

    Raises:
        UsageError: if the choice of the algorithm isn't clear, or the name can't be a run's.
    """
    chosen = choose_algorithm(chain.plan, algorithm)
    if run_id is not None:
        chain.naming.stack(Component.ADAPTIVE, check_dns_label(run_id, "run-id"))
        chosen = replace(chosen, run_id=run_id)
    return replace(chain, plan=replace(chain.plan, algorithms=(chosen,)))


def pinned_by_content(chain: StackChain) -> StackChain:
    """Return the chain with every bundle directory pinned by the digest that it would have.

    Nothing is pushed: the digest depends on the content alone.
    """
    refs = {}
    for algorithm in chain.plan.algorithms:
        if algorithm.bundle.directory is not None:
            packed = _pack(algorithm.name, algorithm.bundle.directory)
            repository = repository_of(chain.plan, packed.name)
            refs[algorithm.name] = BundleRef(repository, packed.digest)
    return chain.pinned(refs)


def pushed(chain: StackChain, options: Options, registry: BindingOutputs) -> StackChain:
    """Push every bundle directory to the registry; return the chain pinned by their digests."""
    refs = {}
    store = open_store(registry.env[REGISTRY_VARIABLE])
    for algorithm in chain.plan.algorithms:
        directory = algorithm.bundle.directory
        if directory is not None:
            packed = _pack(algorithm.name, directory)
            ref = store.push(repository_of(chain.plan, packed.name), packed)
            say(options, f"bundle {directory.name or directory}: {ref}")
            refs[algorithm.name] = ref
    return chain.pinned(refs)


def note_registry(chain: StackChain, registry: BindingOutputs) -> None:
    """Write down where the environment's bundles are, for commands that don't read the spec."""
    write_bundle_env(chain.plan.env, registry.env[REGISTRY_VARIABLE])


def forget_registry(chain: StackChain) -> None:
    """Forget where the environment's bundles are: its registry stack is down."""
    remove_bundle_env(chain.plan.env)


def _pack(algorithm: str, directory: Path) -> PackedBundle:
    if not directory.is_dir():
        raise SpecError(
            f"spec.algorithms.{algorithm}.entrypoint.bundle: there is no directory {directory}.",
            hint="Paths are relative to the folder of runtime.yaml.",
        )
    errors = [found for found in validate_bundle(directory) if found.severity == "error"]
    if errors:
        listed = "\n".join(f"  {found.message} {found.hint}".rstrip() for found in errors)
        raise BundleFileError(f"The bundle {directory} isn't valid:\n{listed}")
    return pack(directory)


def repository_of(plan: CompiledPlan, name: str) -> str:
    """Return the repository of a bundle: its name below the prefix of the spec's registry."""
    prefix = plan.registry.prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name
