"""The seams of ModelOps: frozen types and protocols that science and infrastructure share.

Nothing here imports anything but the standard library, so model code, algorithms and third-party
services can depend on it at no cost.
"""

from modelops.contracts.algorithm import AdaptiveAlgorithm, AlgorithmFactory, AlgorithmSettings
from modelops.contracts.bindings import Address, BindingOutputs, SecretRef
from modelops.contracts.bundles import BundleRef
from modelops.contracts.canonical import Scalar, canonical_json, make_param_id
from modelops.contracts.errors import ContractError
from modelops.contracts.lifecycle import HasLifecycle, RunContext
from modelops.contracts.parameters import UniqueParameterSet
from modelops.contracts.runs import Limits, RunPlan
from modelops.contracts.seeds import check_seed, derive_seed
from modelops.contracts.simulation import (
    FailureReason,
    Future,
    SimFailure,
    SimReturn,
    SimStatus,
    SimTask,
    SimulationService,
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
    "BindingOutputs",
    "BundleRef",
    "CategoricalParameter",
    "ContractError",
    "FailureReason",
    "FixedParameter",
    "FloatParameter",
    "Future",
    "HasLifecycle",
    "IntParameter",
    "Limits",
    "Parameter",
    "RunContext",
    "RunPlan",
    "Scalar",
    "SearchSpace",
    "SecretRef",
    "SimFailure",
    "SimReturn",
    "SimStatus",
    "SimTask",
    "SimulationService",
    "TrialResult",
    "TrialStatus",
    "UniqueParameterSet",
    "canonical_json",
    "check_seed",
    "derive_seed",
    "make_param_id",
]
