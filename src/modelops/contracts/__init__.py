"""The seams of ModelOps: frozen types and protocols that science and infrastructure share.

Nothing here imports anything but the standard library, so model code, algorithms and third-party
services can depend on it at no cost.
"""

from modelops.contracts.algorithm import (
    AdaptiveAlgorithm,
    AlgorithmFactory,
    AlgorithmSettings,
    ChecksOptions,
    HasPosterior,
    HasSnapshot,
)
from modelops.contracts.bindings import Address, BindingOutputs, SecretRef
from modelops.contracts.bundles import BundleRef, BundleTag, parse_reference
from modelops.contracts.canonical import Scalar, canonical_json, make_param_id
from modelops.contracts.constraints import Constraint
from modelops.contracts.errors import ContractError, SnapshotError
from modelops.contracts.execution import EnvironmentMode, Execution, Isolation
from modelops.contracts.lifecycle import HasLifecycle, RunContext
from modelops.contracts.parameters import UniqueParameterSet
from modelops.contracts.posterior import Particle, Population, Posterior
from modelops.contracts.public_key import PublicKey
from modelops.contracts.runs import Limits, RunPlan, TrialOrder
from modelops.contracts.seeds import check_seed, derive_seed
from modelops.contracts.simulation import (
    AlignedOutputs,
    AlignsOutputs,
    FailureReason,
    Future,
    Outputs,
    SimFailure,
    SimReturn,
    SimStatus,
    SimTask,
    SimTiming,
    SimulationService,
    SubmitsMany,
)
from modelops.contracts.space import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)
from modelops.contracts.trials import MAX_DIAGNOSTICS_BYTES, TrialResult, TrialStatus

__all__ = [
    "MAX_DIAGNOSTICS_BYTES",
    "AdaptiveAlgorithm",
    "Address",
    "AlgorithmFactory",
    "AlgorithmSettings",
    "AlignedOutputs",
    "AlignsOutputs",
    "BindingOutputs",
    "BundleRef",
    "BundleTag",
    "CategoricalParameter",
    "ChecksOptions",
    "Constraint",
    "ContractError",
    "EnvironmentMode",
    "Execution",
    "FailureReason",
    "FixedParameter",
    "FloatParameter",
    "Future",
    "HasLifecycle",
    "HasPosterior",
    "HasSnapshot",
    "IntParameter",
    "Isolation",
    "Limits",
    "Outputs",
    "Parameter",
    "Particle",
    "Population",
    "Posterior",
    "PublicKey",
    "RunContext",
    "RunPlan",
    "Scalar",
    "SearchSpace",
    "SecretRef",
    "SimFailure",
    "SimReturn",
    "SimStatus",
    "SimTask",
    "SimTiming",
    "SimulationService",
    "SnapshotError",
    "SubmitsMany",
    "TrialOrder",
    "TrialResult",
    "TrialStatus",
    "UniqueParameterSet",
    "canonical_json",
    "check_seed",
    "derive_seed",
    "make_param_id",
    "parse_reference",
]
