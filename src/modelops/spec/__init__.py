"""RuntimeSpec: the file runtime.yaml, checked, and the plan that it compiles to.

Pure: nothing here talks to a cloud, a cluster or a registry.
"""

from modelops.spec.compiler import compile_spec
from modelops.spec.describe import plan_to_json
from modelops.spec.installed import Installed
from modelops.spec.loading import load, load_text
from modelops.spec.models import ProviderOptions, RuntimeSpec
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
from modelops.spec.problems import InvalidSpecError, SpecProblem
from modelops.spec.schema import json_schema
from modelops.spec.show import to_data, to_yaml

__all__ = [
    "AlgorithmPlan",
    "BundleSource",
    "CompiledPlan",
    "DatabasePlan",
    "GpuPlan",
    "ImagePlan",
    "Installed",
    "InvalidSpecError",
    "ObjectStorePlan",
    "ProviderChoice",
    "ProviderOptions",
    "RegistryPlan",
    "RuntimeSpec",
    "SpecProblem",
    "WorkerGroupPlan",
    "compile_spec",
    "json_schema",
    "load",
    "load_text",
    "plan_to_json",
    "to_data",
    "to_yaml",
]
