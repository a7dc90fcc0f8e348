"""A real single-node Kubernetes on this machine: `make k8s-up`, `make test-k8s`."""

from testcluster.access import Access
from testcluster.cluster import Cluster
from testcluster.errors import ClusterError
from testcluster.programs import what_is_missing

__all__ = ["Access", "Cluster", "ClusterError", "what_is_missing"]
