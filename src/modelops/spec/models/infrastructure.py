"""`spec.provider`, `registry`, `objectStore` and `databases`: where a run lives."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from modelops.contracts.bundles import check_repository
from modelops.spec.models.base import Label, Part, Text


def _check_prefix(text: str) -> str:
    if text:
        check_repository(text)
    return text


class Provider(Part):
    """Where it runs: `local`, `kubernetes`, `azure` or any installed plugin.

    Every other key belongs to the provider, which checks it (subscription_id, location, aks;
    kubeconfig, context, storageClass; …).
    """

    model_config = ConfigDict(extra="allow")

    name: Text = Field(description="local, kubernetes, azure or the name of an installed plugin.")

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the provider."""
        return dict(self.model_extra or {})


class Registry(Part):
    """Where bundles are stored."""

    managed: bool = Field(
        default=True, description="Whether ModelOps creates it and takes it down."
    )
    class_: Literal["acr", "distribution", "oci-layout", "external"] | None = Field(
        default=None,
        alias="class",
        description="acr; distribution (a registry process); oci-layout (a directory); or "
        "external, with a url. Default: the provider's own.",
    )
    url: Text | None = Field(default=None, description="The host of an external registry.")
    prefix: Annotated[str, AfterValidator(_check_prefix)] = Field(
        default="", description="What repositories' names begin with, as in team/bundles."
    )


class ObjectStore(Part):
    """Where results are stored."""

    name: Label = Field(default="results", description="What algorithms' bindings call it.")
    managed: bool = Field(
        default=True, description="Whether ModelOps creates it and takes it down."
    )
    class_: Literal["azure-blob", "s3", "gcs", "pvc", "local-dir"] | None = Field(
        default=None, alias="class", description="What kind it is. Default: the provider's own."
    )
    bucket: Text | None = Field(default=None, description="The bucket or container.")


class ExternalDatabase(Part):
    """A database that is there already."""

    url_from: Text = Field(alias="urlFrom", description="The secret that holds its URL.")


class Database(Part):
    """Where runs' journals are kept."""

    engine: Literal["postgres", "sqlite"] | None = Field(
        default=None, description="Default: the provider's own."
    )
    managed: bool = Field(
        default=True, description="Whether ModelOps creates it and takes it down."
    )
    size: Text | None = Field(default=None, description="The provider's size of server.")
    containerized: bool = Field(
        default=False, description="A server in the cluster, for development."
    )
    external: ExternalDatabase | None = Field(
        default=None, description="A database that is there already."
    )
