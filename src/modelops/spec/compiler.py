"""From a RuntimeSpec to a CompiledPlan."""

from collections.abc import Iterator
from pathlib import Path

from modelops.contracts import (
    BundleRef,
    EnvironmentMode,
    Execution,
    Isolation,
    Limits,
    PublicKey,
    TrialOrder,
    parse_reference,
)
from modelops.spec.checks import check
from modelops.spec.constraints import search_space
from modelops.spec.models import (
    Algorithm,
    Database,
    Entrypoint,
    RunLimits,
    RuntimeSpec,
    WorkerGroup,
)
from modelops.spec.plan import (
    AlgorithmPlan,
    BundleSource,
    CompiledPlan,
    DatabasePlan,
    GpuPlan,
    ImagePlan,
    ObjectStorePlan,
    ProviderChoice,
    RegistryPlan,
    WorkerGroupPlan,
)
from modelops.spec.problems import Finding, InvalidSpecError
from modelops.spec.signature_keys import read_public_keys
from modelops.spec.units import parse_cpu, parse_duration, parse_memory

_MANIFEST = "manifest.json"


def compile_spec(spec: RuntimeSpec, *, base: Path, check_bundles: bool = True) -> CompiledPlan:
    """Return what a spec means: references resolved, quantities in bytes, cores and seconds.

    Args:
        spec: the spec.
        base: the directory that bundles' directories are relative to; that of the spec's file.
        check_bundles: whether bundles' directories must be there. The files of public keys must in
            any case: a plan without its key would take code that nobody signed.

    Raises:
        InvalidSpecError: with everything that keeps the spec from being compiled: a reference to
            what isn't declared, bounds the wrong way round, a bundle that isn't there, a setting
            that isn't supported yet.
    """
    keys, key_findings = read_public_keys(spec, base)
    findings = [
        *check(spec),
        *key_findings,
        *(_bundles(spec, base) if check_bundles else ()),
    ]
    if findings:
        raise InvalidSpecError(map(spec.source.problem, findings))
    body = spec.spec
    store, registry = body.object_store, body.registry
    groups = {name: _worker_group(name, group) for name, group in body.worker_groups.items()}
    return CompiledPlan(
        name=spec.metadata.name,
        env=spec.metadata.env,
        provider=_provider(spec),
        registry=RegistryPlan(
            kind=registry.class_,
            managed=registry.managed and registry.class_ != "external",
            url=registry.url,
            prefix=registry.prefix,
            auth=registry.auth,
            tls=registry.tls,
        ),
        object_store=ObjectStorePlan(store.name, store.class_, store.managed, store.bucket),
        databases=tuple(_database(name, database) for name, database in body.databases.items()),
        worker_groups=tuple(groups.values()),
        algorithms=tuple(
            _algorithm(name, algorithm, base, keys.get(name), groups[algorithm.bindings.workers])
            for name, algorithm in body.algorithms.items()
        ),
    )


def _provider(spec: RuntimeSpec) -> ProviderChoice:
    provider, written = spec.spec.provider, spec.instead_of
    instead_of = None if written is None else ProviderChoice(written.name, written.options)
    return ProviderChoice(provider.name, provider.options, instead_of)


def _database(name: str, database: Database) -> DatabasePlan:
    external = database.external
    return DatabasePlan(
        name,
        database.engine,
        managed=database.managed and external is None,
        url_from=None if external is None else external.url_from,
        size=database.size,
        containerized=database.containerized,
    )


def _worker_group(name: str, group: WorkerGroup) -> WorkerGroupPlan:
    cpu, memory = group.resources.cpu, group.resources.memory
    image, gpu = group.image, group.gpu
    return WorkerGroupPlan(
        name=name,
        minimum=group.min,
        maximum=group.max,
        processes=group.processes,
        threads=group.threads,
        cpu=None if cpu is None else parse_cpu(cpu),
        memory=None if memory is None else parse_memory(memory),
        kind=group.kind,
        profile=group.profile,
        spot=group.spot,
        image=None if image is None else ImagePlan(image.ref, image.pull_secret),
        gpu=None if gpu is None else GpuPlan(gpu.vendor, gpu.count, gpu.model),
        price=group.price,
    )


def _algorithm(
    name: str,
    algorithm: Algorithm,
    base: Path,
    public_key: PublicKey | None,
    workers: WorkerGroupPlan,
) -> AlgorithmPlan:
    parameters, entrypoint = algorithm.parameters, algorithm.entrypoint
    execution = algorithm.execution
    return AlgorithmPlan(
        name=name,
        type=algorithm.type,
        workers=algorithm.bindings.workers,
        database=algorithm.bindings.database,
        object_store=algorithm.bindings.object_store,
        bundle=_bundle(entrypoint, base),
        space=search_space(entrypoint),
        targets=entrypoint.targets,
        model=entrypoint.model,
        seed=parameters.seed,
        n_trials=parameters.n_trials,
        n_parallel=parameters.n_parallel,
        replicates=parameters.replicates,
        options=parameters.options,
        limits=_limits(algorithm.limits, workers),
        execution=Execution(
            isolation=Isolation(execution.isolation),
            environment=EnvironmentMode(execution.environment),
            keep_outputs=execution.keep_outputs,
            profile=execution.profile,
        ),
        order=TrialOrder(parameters.order),
        public_key=public_key,
    )


def _limits(limits: RunLimits, workers: WorkerGroupPlan) -> Limits:
    task_timeout, run_timeout, memory = limits.task_timeout, limits.run_timeout, limits.task_memory
    return Limits(
        task_timeout=None if task_timeout is None else parse_duration(task_timeout),
        task_memory=None if memory is None else parse_memory(memory),
        max_failures=limits.max_failures,
        run_timeout=None if run_timeout is None else parse_duration(run_timeout),
        max_cost=limits.max_cost,
        slot_price=None if limits.max_cost is None else workers.slot_price,
        target_loss=limits.target_loss,
        patience=limits.patience,
    )


def _bundle(entrypoint: Entrypoint, base: Path) -> BundleSource:
    if entrypoint.bundle is not None:
        return BundleSource(directory=_directory(entrypoint.bundle, base))
    reference = parse_reference(entrypoint.bundle_ref or "")
    if isinstance(reference, BundleRef):
        return BundleSource(ref=reference)
    return BundleSource(tag=reference)


def _bundles(spec: RuntimeSpec, base: Path) -> Iterator[Finding]:
    for name, algorithm in spec.spec.algorithms.items():
        if algorithm.entrypoint.bundle is None:
            continue
        path = ("spec", "algorithms", name, "entrypoint", "bundle")
        directory = _directory(algorithm.entrypoint.bundle, base)
        if not directory.is_dir():
            kind = "is a file, not a directory" if directory.exists() else "doesn't exist"
            suggestion = "Directories are relative to the spec's own."
            yield Finding(path, f"{directory} {kind}", suggestion)
        elif not (directory / _MANIFEST).is_file():
            suggestion = "`mops bundle init` makes one."
            yield Finding(path, f"{directory} has no {_MANIFEST}", suggestion)


def _directory(written: str, base: Path) -> Path:
    """Return the absolute path of a bundle; symbolic links stay as they are."""
    return base.absolute() / Path(written).expanduser()
