"""The packages that bundles ask for, installed beside the worker's own or apart from them."""

from modelops.environments.cache import EnvironmentCache
from modelops.environments.record import BundleEnvironment

__all__ = ["BundleEnvironment", "EnvironmentCache"]
