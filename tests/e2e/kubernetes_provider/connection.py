"""The cluster that a provider is configured for, there or not."""

from kubernetes_provider.api import Api, NoMatchError, StatusError, UnreachableError
from kubernetes_provider.kubeconfig import KubeconfigError, read_cluster
from kubernetes_provider.objects import kind_of
from kubernetes_provider.properties import Object
from kubernetes_provider.settings import Settings
from kubernetes_provider.waiting import Say

_CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "Namespace",
    "PersistentVolume",
    "StorageClass",
}


class Connection:
    """A cluster, or why there is none: that is an error only of what needs it.

    Attributes:
        settings: what the provider was told.
        namespace: where objects go that name none.
        api: the client; None if the cluster can't be reached.
        why_not: why it can't.
    """

    def __init__(self) -> None:
        self.settings = Settings()
        self.namespace = ""
        self.api: Api | None = None
        self.why_not = "the provider isn't configured"

    @classmethod
    async def open(cls, settings: Settings) -> "Connection":
        """Connect and ask for the version."""
        made = cls()
        made.settings, made.namespace = settings, settings.namespace
        try:
            cluster = read_cluster(settings.kubeconfig, settings.context, settings.cluster)
            made.namespace = settings.namespace or cluster.namespace
            api = Api(cluster)
            await api.version()
        except KubeconfigError as error:
            made.why_not = (
                f"unable to load Kubernetes client configuration from kubeconfig file: {error}"
            )
        except (UnreachableError, StatusError) as error:
            made.why_not = f"unable to load schema information from the API server: {error}"
        else:
            made.api = api
        return made

    @property
    def problem(self) -> str:
        """Return what is said of a cluster that can't be reached."""
        return f"configured Kubernetes cluster is unreachable: {self.why_not}"

    async def tell_problem(self, say: Say) -> None:
        await say("warning", self.problem)

    async def is_namespaced(self, item: Object) -> bool:
        """Say whether objects of that kind are in namespaces; of an unknown kind it's likely."""
        if self.api is None:
            return item.get("kind") not in _CLUSTER_WIDE
        try:
            return (await self.api.kind(*kind_of(item))).is_namespaced
        except NoMatchError:
            return True

    async def serves(self, item: Object) -> bool:
        """Say whether there is a cluster that knows the kind."""
        if self.api is None:
            return False
        try:
            await self.api.kind(*kind_of(item))
        except NoMatchError:
            return False
        return True
