"""The RuntimeSpec that the command line names: read, checked against what is installed, compiled.

Imports neither the engine nor anything else that reading a file doesn't need.
"""

from modelops.algorithms.discovery import algorithm_types, check_options
from modelops.cli.options import Options
from modelops.providers.discovery import option_models
from modelops.spec import CompiledPlan, Installed, RuntimeSpec, compile_spec, load


def installed() -> Installed:
    """Return the plugins that a spec may name."""
    return Installed(option_models(), algorithm_types(), check_options)


def read_spec(options: Options) -> RuntimeSpec:
    """Read the spec, for the environment and the provider that the options name.

    Raises:
        SpecError: with every error of the file.
    """
    return load(options.config, env=options.env, provider=options.provider, installed=installed())


def compile_plan(options: Options, *, check_bundles: bool = True) -> CompiledPlan:
    """Read the spec and compile it; whether its bundles are there counts only for those who pack.

    Raises:
        SpecError: with every error of the file.
    """
    base = options.config.absolute().parent
    return compile_spec(read_spec(options), base=base, check_bundles=check_bundles)
