"""What the provider is told by its inputs and by the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from kubernetes_provider.kubeconfig import KubeconfigError, read_cluster

_PREFIX = "kubernetes:config:"


@dataclass(frozen=True)
class Settings:
    """The provider's inputs that the stand-in knows; SDK and plugin have the same names for them.

    Attributes:
        kubeconfig: its content or a path to it; empty for the environment's.
        context: the context to take of it; empty for the current one.
        cluster: the cluster to take of it; empty for the context's.
        namespace: where objects go that name none; empty for the context's.
        force: whether fields are taken from other managers.
        upsert: whether a creation takes over what is there.
        mutable_secrets: whether Secrets are changed in place.
        mutable_config_maps: the same for ConfigMaps.
        delete_unreachable: whether what can't be reached leaves the state.
        skip_unreachable: whether what can't be reached stays as it is.
    """

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    force: bool = False
    upsert: bool = False
    mutable_secrets: bool = False
    mutable_config_maps: bool = False
    delete_unreachable: bool = False
    skip_unreachable: bool = False

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Settings":
        """Return the settings that the engine gives as variables.

        Raises:
            ValueError: if one is set that the stand-in doesn't have.
        """
        given = {name.removeprefix(_PREFIX): value for name, value in variables.items()}

        def flag(name: str, variable: str, default: str = "false") -> bool:
            return given.get(name, os.environ.get(variable, default)) == "true"

        if not flag("enableServerSideApply", "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", "true"):
            raise ValueError("the stand-in for the Kubernetes provider has server-side apply only")
        if given.get("renderYamlToDirectory"):
            raise ValueError("the stand-in for the Kubernetes provider can't render to YAML")
        return cls(
            kubeconfig=given.get("kubeconfig", ""),
            context=given.get("context", ""),
            cluster=given.get("cluster", ""),
            namespace=given.get("namespace", ""),
            force=flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
            upsert=flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
            mutable_secrets=flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
            mutable_config_maps=flag(
                "enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"
            ),
            delete_unreachable=flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
            skip_unreachable=flag("skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
        )


def replacing_inputs(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Return which inputs of the provider mean another cluster, so that all on it is replaced.

    A kubeconfig's cluster is taken for the same as long as its entry is. Once both have a
    `clusterIdentifier`, that alone decides.
    """
    if old.get("clusterIdentifier") and new.get("clusterIdentifier"):
        is_same = old["clusterIdentifier"] == new["clusterIdentifier"]
        return [] if is_same else ["clusterIdentifier"]
    entries = []
    for inputs in (old, new):
        given = [str(inputs.get(name) or "") for name in ("kubeconfig", "context", "cluster")]
        try:
            entries.append(read_cluster(*given).entry if given[0] else None)
        except KubeconfigError:
            entries.append(None)
    if None in entries or entries[0] == entries[1]:
        return []
    return [name for name in ("kubeconfig", "context", "cluster") if old.get(name) != new.get(name)]
