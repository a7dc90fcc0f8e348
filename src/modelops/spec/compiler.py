"""From a RuntimeSpec to a CompiledPlan."""

from collections.abc import Iterator
from pathlib import Path

from modelops.contracts import BundleRef, Limits, SearchSpace
from modelops.spec.checks import check
from modelops.spec.models import Algorithm, RuntimeSpec, WorkerGroup
from modelops.spec.plan import (
    AlgorithmPlan,
    BundleSource,
    CompiledPlan,
    DatabasePlan,
    ObjectStorePlan,
    ProviderChoice,
    RegistryPlan,
    WorkerGroupPlan,
)
from modelops.spec.problems import Finding, InvalidSpecError
from modelops.spec.units import parse_cpu, parse_duration, parse_memory

_MANIFEST = "manifest.json"


def compile_spec(spec: RuntimeSpec, *, base: Path, check_bundles: bool = True) -> CompiledPlan:
    """Return what a spec means: references resolved, quantities in bytes, cores and seconds.

    Args:
        spec: the spec.
        base: the directory that bundles' directories are relative to; that of the spec's file.
        check_bundles: whether bundles' directories must be there.

    Raises:
        InvalidSpecError: with everything that keeps the spec from being compiled: a reference to
            what isn't declared, bounds the wrong way round, a bundle that isn't there, a setting
            that isn't supported yet.
    """
    findings = [*check(spec), *(_bundles(spec, base) if check_bundles else ())]
    if findings:
        raise InvalidSpecError(map(spec.source.problem, findings))
    body = spec.spec
    store, registry = body.object_store, body.registry
    return CompiledPlan(
        name=spec.metadata.name,
        env=spec.metadata.env,
        provider=ProviderChoice(body.provider.name, body.provider.options),
        registry=RegistryPlan(
            kind=registry.class_,
            managed=registry.managed and registry.class_ != "external",
            url=registry.url,
            prefix=registry.prefix,
        ),
        object_store=ObjectStorePlan(store.name, store.class_, store.managed, store.bucket),
        databases=tuple(
            DatabasePlan(name, database.engine, database.managed)
            for name, database in body.databases.items()
        ),
        worker_groups=tuple(
            _worker_group(name, group) for name, group in body.worker_groups.items()
        ),
        algorithms=tuple(
            _algorithm(name, algorithm, base) for name, algorithm in body.algorithms.items()
        ),
    )


def _worker_group(name: str, group: WorkerGroup) -> WorkerGroupPlan:
    cpu, memory = group.resources.cpu, group.resources.memory
    return WorkerGroupPlan(
        name=name,
        minimum=group.min,
        maximum=group.max,
        processes=group.processes,
        threads=group.threads,
        cpu=None if cpu is None else parse_cpu(cpu),
        memory=None if memory is None else parse_memory(memory),
    )


def _algorithm(name: str, algorithm: Algorithm, base: Path) -> AlgorithmPlan:
    parameters, entrypoint = algorithm.parameters, algorithm.entrypoint
    timeout = algorithm.limits.task_timeout
    return AlgorithmPlan(
        name=name,
        type=algorithm.type,
        workers=algorithm.bindings.workers,
        database=algorithm.bindings.database,
        object_store=algorithm.bindings.object_store,
        bundle=(
            BundleSource(directory=_directory(entrypoint.bundle, base))
            if entrypoint.bundle is not None
            else BundleSource(ref=BundleRef.parse(entrypoint.bundle_ref or ""))
        ),
        space=SearchSpace(
            {key: entry.parameter() for key, entry in entrypoint.space.items()},
        ),
        targets=entrypoint.targets,
        model=entrypoint.model,
        seed=parameters.seed,
        n_trials=parameters.n_trials,
        n_parallel=parameters.n_parallel,
        replicates=parameters.replicates,
        options=parameters.options,
        limits=Limits(
            task_timeout=None if timeout is None else parse_duration(timeout),
            max_failures=algorithm.limits.max_failures,
        ),
    )


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
