"""`make k8s-up` and `make k8s-down`: a cluster for people; and the keeper of one for tests."""

import argparse
import sys
import time

from stamina.instrumentation import set_on_retry_hooks

from testcluster import Cluster, ClusterError
from testcluster.network import enter
from testcluster.programs import built_programs


def main() -> None:
    """Start, remove, or keep (remove when stdin ends) the cluster that the command line names."""
    parser = argparse.ArgumentParser(prog="testcluster", description=main.__doc__)
    parser.add_argument("action", choices=["up", "down", "keep"])
    parser.add_argument("name")
    given = parser.parse_args()
    set_on_retry_hooks([])
    try:
        cluster = Cluster(given.name)
        if given.action == "up":
            _up(cluster)
        elif given.action == "keep":
            # The pipe closes when the process that has the cluster ends, in whatever way.
            sys.stdin.read()
            cluster.stop()
        else:
            cluster.stop()
            sys.stdout.write(f"The cluster {given.name} is gone.\n")
    except ClusterError as error:
        sys.exit(str(error))


def _up(cluster: Cluster) -> None:
    if cluster.is_ready():
        sys.stdout.write(f"The cluster {cluster.name} runs.\n")
    else:
        begun = time.monotonic()
        cluster.start()
        taken = time.monotonic() - begun
        sys.stdout.write(f"The cluster {cluster.name} is ready after {taken:.0f} s.\n")
    into = " ".join(enter(cluster.layout.namespace))
    kubectl = built_programs().named("kubectl")
    sys.stdout.write(
        "It is in a network namespace of its own: what shall reach it must run in there, too.\n"
        f"  export KUBECONFIG={cluster.kubeconfig}\n"
        f"  {into} {kubectl} get pods --all-namespaces\n"
        f"Registry: {cluster.registry}, its CA: {cluster.registry_ca}\n"
        f"Logs: {cluster.layout.folder}/logs\n"
    )


if __name__ == "__main__":
    main()
