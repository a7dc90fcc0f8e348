"""Which environment and repository a `mops bundle` command means; a spec isn't needed."""

from dataclasses import dataclass
from typing import Self

from modelops.cli.options import Options

DEFAULT_ENV = "dev"


@dataclass(frozen=True)
class BundlePlace:
    """The environment that the options or the spec name, and the prefix of its repositories."""

    env: str
    prefix: str = ""

    @classmethod
    def of(cls, options: Options) -> Self:
        """Return the place that the spec says or, without one, the options.

        Raises:
            SpecError: with every error of the file.
        """
        if options.config == Options().config and not options.config.exists():
            return cls(options.env or DEFAULT_ENV)
        from modelops.cli.spec_file import compile_plan

        plan = compile_plan(options, check_bundles=False)
        return cls(plan.env, plan.registry.prefix.strip("/"))

    def repository(self, name: str) -> str:
        """Return the repository of a bundle of that name."""
        return f"{self.prefix}/{name}" if self.prefix else name
