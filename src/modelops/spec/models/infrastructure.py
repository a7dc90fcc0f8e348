"""`spec.registry`, `objectStore` and `databases`: where a run's code and results live."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from modelops.contracts.bundles import REPOSITORY
from modelops.spec.models.base import Label, Part, SecretName, Text, matching, never

_GIVEN: dict[str, JsonValue] = {"type": "string"}


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
    url: Text | None = Field(
        default=None, description="The host of an external registry, never with a password."
    )
    auth: Literal["htpasswd"] | None = Field(
        default=None,
        description="How a registry of class distribution knows its users: htpasswd (one user, "
        "with a password that the stack makes). Default: it takes everyone.",
    )
    tls: bool = Field(
        default=False,
        description="Whether a registry of class distribution speaks TLS, with a certificate from "
        "a CA that the stack makes.",
    )
    prefix: Annotated[
        str,
        matching(
            # A bundle's own name comes after it, and a repository's has at most 255 characters.
            rf"(?!.{{201}})(?:{REPOSITORY.pattern})?",
            "a prefix is the beginning of a repository's name: at most 200 lower-case letters and "
            "digits, separated by single . _ - or /",
        ),
    ] = Field(default="", description="What repositories' names begin with, as in team/bundles.")


class ObjectStore(Part):
    """Where results are stored."""

    model_config = ConfigDict(
        json_schema_extra={
            **never({"managed": {"const": False}, "class": {"const": "local-dir"}}),
            "if": {"properties": {"managed": {"const": False}}, "required": ["managed"]},
            "then": {"required": ["bucket"], "properties": {"bucket": _GIVEN}},
        }
    )

    name: Label = Field(default="results", description="What algorithms' bindings call it.")
    managed: bool = Field(
        default=True, description="Whether ModelOps creates it and takes it down."
    )
    class_: Literal["azure-blob", "s3", "gcs", "pvc", "local-dir"] | None = Field(
        default=None, alias="class", description="What kind it is. Default: the provider's own."
    )
    bucket: (
        Annotated[
            str,
            matching(
                r"[a-z0-9](?:[a-z0-9]|[.-](?![.-])){1,61}[a-z0-9]",
                "a bucket's name has 3 to 63 lower-case letters, digits, - and ., "
                "with a letter or digit at either end and no two - or . side by side",
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="The bucket, container, volume claim, or (local-dir) folder. "
        "Default: one that ModelOps makes and names.",
    )


class ExternalDatabase(Part):
    """A database that is there already."""

    url_from: SecretName = Field(alias="urlFrom", description="The secret that holds its URL.")


class Database(Part):
    """Where runs' journals are kept."""

    model_config = ConfigDict(
        json_schema_extra=never(
            {"engine": {"const": "sqlite"}, "size": _GIVEN},
            {"engine": {"const": "sqlite"}, "containerized": {"const": True}},
        )
    )

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
