"""What a spec's parts must be to each other: references, bounds, things that are there twice."""

from collections.abc import Iterable, Iterator

from modelops.core.near_miss import did_you_mean, near_miss
from modelops.spec.constraints import constraint_findings
from modelops.spec.models import Algorithm, Entrypoint, Parameters, RuntimeBody, RuntimeSpec
from modelops.spec.models.providers import LOCAL
from modelops.spec.not_yet import unsupported
from modelops.spec.problems import Finding, SpecPath, list_words

# The default run-id adds `-` and eight digits, and is a DNS label of at most 63 characters.
_MAX_ALGORITHM_NAME = 54
# So alike that it can hardly be the name of an option by itself (`replicats`, `nTrials`).
_MISSPELT = 0.8


def check(spec: RuntimeSpec) -> list[Finding]:
    """Return everything that makes a well-formed spec one that can't be compiled.

    Looks at the spec alone; whether a bundle's directory exists is the compiler's to say.
    """
    body = spec.spec
    findings = [
        *_registry(body),
        *_object_store(spec),
        *_databases(body),
        *_worker_groups(body),
        *unsupported(spec),
    ]
    for name, algorithm in body.algorithms.items():
        at = ("spec", "algorithms", name)
        if len(name) > _MAX_ALGORITHM_NAME:
            message = f"an algorithm's name has at most {_MAX_ALGORITHM_NAME} characters"
            findings.append(Finding(at, f"{message}; run-ids begin with it", at_key=True))
        findings += _references(body, algorithm, (*at, "bindings"))
        findings += _counts(algorithm, at)
        findings += _cost(body, algorithm, (*at, "limits", "max_cost"))
        findings += _entrypoint(algorithm.entrypoint, (*at, "entrypoint"))
        findings += constraint_findings(algorithm.entrypoint, (*at, "entrypoint"))
    return findings


def misspelt_options(spec: RuntimeSpec) -> list[Finding]:
    """Return options of algorithms that are one of the run's own parameters, misspelt.

    The algorithm may have an option that is called alike, so only what is very near counts.
    """
    own = list(Parameters.model_fields)
    return [
        Finding(
            ("spec", "algorithms", name, "parameters", option),
            f"`{option}` is taken for a misspelt one of {list_words(own)}",
            did_you_mean(option, own),
            at_key=True,
        )
        for name, algorithm in spec.spec.algorithms.items()
        for option in algorithm.parameters.options
        if near_miss(option, own, cutoff=_MISSPELT)
    ]


def _registry(body: RuntimeBody) -> Iterator[Finding]:
    at = ("spec", "registry")
    registry = body.registry
    if registry.class_ == "external" and registry.url is None:
        yield Finding((*at, "url"), "an external registry needs its url", missing=True)
    elif registry.class_ != "external" and registry.url is not None:
        yield Finding((*at, "url"), "only a registry of `class: external` has a url")
    elif registry.class_ != "external" and not registry.managed:
        message = "a registry that isn't managed needs `class: external` and its url"
        yield Finding((*at, "managed"), message)
    if registry.class_ != "distribution":
        for key, written in (("auth", registry.auth), ("tls", registry.tls)):
            if written:
                message = f"only a registry of `class: distribution` has {key}"
                yield Finding((*at, key), message, "Remove the key, or write that class.")
    if registry.url is not None and _has_user(registry.url):
        message = "the url holds a user or a password, which don't belong into this file"
        suggestion = (
            "Write the host alone, and log in with `docker login HOST`; or set "
            "MODELOPS_BUNDLE_REGISTRY_USERNAME and MODELOPS_BUNDLE_REGISTRY_PASSWORD_FILE."
        )
        # At the key: the value isn't to be shown.
        yield Finding((*at, "url"), message, suggestion, at_key=True)


def _has_user(url: str) -> bool:
    """Return whether anything stands before an @ in the host's part of a URL."""
    return "@" in url.partition("://")[2] if "://" in url else "@" in url


def _object_store(spec: RuntimeSpec) -> Iterator[Finding]:
    at = ("spec", "objectStore")
    body, store = spec.spec, spec.spec.object_store
    if store.managed:
        return
    # With --provider local, a store that is there already is tried out with a folder instead.
    is_local = body.provider.name == LOCAL and store.class_ is None and spec.instead_of is None
    if is_local or store.class_ == "local-dir":
        message = "a folder is always managed: it is made, and `mops down` keeps it"
        suggestion = "Remove the key; `bucket` names the folder."
        yield Finding((*at, "managed"), message, suggestion)
    elif store.bucket is None:
        message = "an object store that isn't managed needs its bucket"
        yield Finding((*at, "bucket"), message, missing=True)


def _databases(body: RuntimeBody) -> Iterator[Finding]:
    for name, database in body.databases.items():
        at = ("spec", "databases", name)
        made = (("size", database.size), ("containerized", database.containerized))
        if database.external is not None:
            for key in (key for key, written in made if written):
                message = "a database that is there already isn't made by this spec"
                yield Finding((*at, key), message, "Remove the key.")
            continue
        if not database.managed:
            message = "a database that isn't managed needs `external: {urlFrom: SECRET}`"
            yield Finding((*at, "managed"), message)
        if database.engine == "sqlite":
            for key in (key for key, written in made if written):
                message = "sqlite is a file, not a server; this is for `engine: postgres`"
                yield Finding((*at, key), message, "Remove the key.")


def _worker_groups(body: RuntimeBody) -> Iterator[Finding]:
    for name, group in body.worker_groups.items():
        if group.min > group.max:
            message = f"max must be at least min, which is {group.min}"
            yield Finding(("spec", "workerGroups", name, "max"), message)
        if group.gpu is not None and group.profile == "cpu":
            message = "a group that has `gpu` has the profile gpu"
            yield Finding(("spec", "workerGroups", name, "profile"), message)


def _references(body: RuntimeBody, algorithm: Algorithm, at: SpecPath) -> Iterator[Finding]:
    bindings = algorithm.bindings
    for key, bound, declared, section in (
        ("workers", bindings.workers, body.worker_groups, "spec.workerGroups"),
        ("database", bindings.database, body.databases, "spec.databases"),
        ("objectStore", bindings.object_store, (body.object_store.name,), "spec.objectStore"),
    ):
        if bound not in declared:
            message = f"{section} declares no such name; it has {list_words(declared)}"
            yield Finding((*at, key), message, did_you_mean(bound, declared))


def _counts(algorithm: Algorithm, at: SpecPath) -> Iterator[Finding]:
    parameters, failures = algorithm.parameters, algorithm.limits.max_failures
    if parameters.n_parallel > parameters.n_trials:
        message = f"n_parallel must be at most n_trials, which is {parameters.n_trials}"
        yield Finding((*at, "parameters", "n_parallel"), message)
    if failures >= 1 and not float(failures).is_integer():
        message = "from 1 on, max_failures is a count of trials: a whole number"
        yield Finding((*at, "limits", "max_failures"), message)


def _cost(body: RuntimeBody, algorithm: Algorithm, at: SpecPath) -> Iterator[Finding]:
    cost, workers = algorithm.limits.max_cost, algorithm.bindings.workers
    group = body.worker_groups.get(workers)
    if cost is None or group is None:
        return
    if cost == 0:
        yield Finding(at, "nothing can be run for 0 dollars", "Leave it out for no limit.")
    elif group.price is None:
        message = f"what a run costs isn't known: spec.workerGroups.{workers} has no price"
        yield Finding(at, message, "Write there what one replica costs in an hour: `price: 0.40`.")


def _entrypoint(entrypoint: Entrypoint, at: SpecPath) -> Iterator[Finding]:
    if entrypoint.bundle is None and entrypoint.bundle_ref is None:
        message = "the code is missing: give `bundle: DIRECTORY` or `bundleRef: oci://…`"
        yield Finding((*at, "bundle"), message, missing=True)
    elif entrypoint.bundle is not None and entrypoint.bundle_ref is not None:
        message = "both bundle and bundleRef are given; keep one of them"
        yield Finding((*at, "bundleRef"), message)
    for key, content, of in (
        ("targets", entrypoint.targets, "target to compare with"),
        ("space", entrypoint.space, "parameter to vary"),
    ):
        if not content:
            yield Finding((*at, key), f"at least one {of} is needed")
    for index in _repeated(entrypoint.targets):
        message = "this target is there twice; its loss would count twice"
        yield Finding((*at, "targets", index), message)


def _repeated(items: Iterable[str]) -> Iterator[int]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item in seen:
            yield index
        seen.add(item)
