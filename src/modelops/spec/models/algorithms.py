"""`spec.algorithms`: what runs, with which code, and when to stop."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from modelops.contracts import Constraint, parse_reference
from modelops.contracts.bundles import REFERENCE
from modelops.spec.models.base import Amount, Count, Duration, Memory, Number, Part, Text
from modelops.spec.models.space import SpaceEntry


def _check_bundle_ref(text: str) -> str:
    parse_reference(text)
    return text


def _check_constraint(text: str) -> str:
    Constraint(text)
    return text


class Bindings(Part):
    """Which of the declared things the algorithm uses."""

    workers: str = Field(
        default="", description="A worker group. Default: the first that is declared."
    )
    database: str = Field(
        default="", description="A database. Default: the first that is declared."
    )
    object_store: str = Field(
        default="",
        alias="objectStore",
        description="The object store. Default: the one that is declared.",
    )


class Parameters(Part):
    """The run's own settings; every other key is an option of the algorithm, which checks it."""

    model_config = ConfigDict(extra="allow")

    n_trials: Count = Field(
        default=100, description="How many parameter sets are tried at the most."
    )
    n_parallel: Count = Field(
        default=16,
        description="How many trials may be asked for before the first of them is told. "
        "Results depend on it, and not on the number of workers. Default: 16, or n_trials.",
    )
    replicates: Count = Field(
        default=1, description="Simulations of each trial, each with its own seed."
    )
    seed: int = Field(default=1, ge=0, le=2**64 - 1, description="The run's seed.")
    order: Literal["ask", "completion"] = Field(
        default="ask",
        description="ask: results reach the algorithm in a fixed order, so that a run can be "
        "repeated. completion: as they come.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the algorithm."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _fill_n_parallel(self) -> Self:
        if "n_parallel" not in self.model_fields_set:
            object.__setattr__(self, "n_parallel", min(self.n_parallel, self.n_trials))
        return self


class Execution(Part):
    """How bundle code is run."""

    isolation: Literal["warm", "fork", "fresh"] = Field(
        default="warm", description="What simulations share: a process, its start, or nothing."
    )
    environment: Literal["layered", "isolated"] = Field(
        default="layered",
        description="Whether the bundle's packages are added to the worker's own.",
    )
    keep_outputs: bool = Field(
        default=True,
        alias="keepOutputs",
        description="Whether simulations' tables are kept, and found again by later runs.",
    )
    profile: bool = Field(
        default=False, description="Whether the run tells where the time of its simulations goes."
    )


class RunLimits(Part):
    """When to give a simulation, a trial or the run up."""

    task_timeout: Duration | None = Field(
        default=None, description="For the call of one simulation, as in 10m."
    )
    task_memory: Memory | None = Field(
        default=None, description="For the processes of one simulation, as in 2Gi."
    )
    run_timeout: Duration | None = Field(default=None, description="For the whole run, as in 8h.")
    max_failures: Amount = Field(
        default=0.2, description="Failed trials that end the run: a share if below 1, else a count."
    )
    max_cost: Amount | None = Field(default=None, description="In US dollars.")
    target_loss: Number | None = Field(
        default=None, description="A loss that is good enough to stop."
    )
    patience: Count | None = Field(default=None, description="Trials without a better loss.")


class Signature(Part):
    """The signature that a bundle must carry."""

    public_key: Text = Field(alias="publicKey", description="The file of the public key.")


class Entrypoint(Part):
    """The code, what it is compared with, and what may be varied."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["targets", "space"],
            "oneOf": [
                {"required": [key], "properties": {key: {"type": "string"}}}
                for key in ("bundle", "bundleRef")
            ],
        }
    )

    bundle: Text | None = Field(
        default=None,
        description="A directory, relative to this file: pushed, then pinned by digest.",
    )
    bundle_ref: (
        Annotated[
            str,
            AfterValidator(_check_bundle_ref),
            WithJsonSchema({"type": "string", "pattern": f"^{REFERENCE.pattern}$"}),
        ]
        | None
    ) = Field(
        default=None,
        alias="bundleRef",
        description="Instead of bundle: oci://host/repository@sha256:<64 hex digits>. A tag, as in "
        "oci://host/repository:1.0.0, is resolved to its digest before the run starts.",
    )
    module: Text | None = Field(
        default=None,
        description="module:function instead of our runner, main(ctx: RunContext) -> int.",
    )
    require_signature: Signature | None = Field(
        default=None, description="Refuse bundles that are not signed with this key."
    )
    model: Text | None = Field(
        default=None,
        description="A model of the bundle's registry. Default: the manifest's entrypoint.",
    )
    targets: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        default=(),
        description="The bundle's targets; their losses are added.",
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    space: Mapping[Text, SpaceEntry] = Field(
        default={},
        description="What may be varied, by name.",
        json_schema_extra={"minProperties": 1},
    )
    constraints: Annotated[
        tuple[Annotated[Text, AfterValidator(_check_constraint)], ...], Field(strict=False)
    ] = Field(
        default=(),
        description="What parameters must be to each other, as in beta > gamma; all hold in every "
        "trial.",
    )


class Algorithm(Part):
    """One calibration or sweep."""

    type: Text = Field(
        description="optuna, sobol, lhs, halton, grid, abc-smc or an installed plugin."
    )
    bindings: Bindings = Field(
        default_factory=Bindings, description="Which of the declared things it uses."
    )
    parameters: Parameters = Field(
        default_factory=Parameters, description="The run's and the algorithm's own."
    )
    execution: Execution = Field(default_factory=Execution, description="How bundle code is run.")
    limits: RunLimits = Field(default_factory=RunLimits, description="When to give up.")
    entrypoint: Entrypoint = Field(description="The code, the targets and the search space.")
