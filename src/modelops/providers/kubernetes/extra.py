"""The packages that only those need who use a cluster."""

from importlib.util import find_spec

from modelops.core.errors import ProviderError

_PACKAGES = ("kr8s", "pulumi_kubernetes")


def require_extra() -> None:
    """Check that the packages are installed.

    Raises:
        ProviderError: if one isn't, with the command that installs it.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ProviderError(
            f"The provider kubernetes needs the package {missing[0]}, which isn't installed.",
            hint='Install it with: pip install "modelops[kubernetes]"',
        )
