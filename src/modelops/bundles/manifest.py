"""`manifest.json`: what a bundle is called, and where it begins."""

import json
import os
import re
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from modelops.contracts import ContractError
from modelops.contracts.bundles import check_repository
from modelops.contracts.simulation import check_fn_ref
from modelops.core.errors import BundleFileError
from modelops.core.near_miss import did_you_mean_or_all

MANIFEST_FILE = "manifest.json"

_MAX_NAME = 128
# What makes a tag of the OCI distribution spec, and + for a build of a version (it becomes _).
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_EXAMPLE = '{"name": "sir", "version": "1.0.0", "entrypoint": "model:simulate"}'


class BundleManifest(BaseModel):
    """The content of `manifest.json`.

    Attributes:
        name: the last component of the OCI repository, lower-case.
        version: of the bundle; it becomes a tag, which is for people: a digest pins the content.
        entrypoint: the model that runs by default, `module:function`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    version: str
    entrypoint: str

    @classmethod
    def of_config(cls, config: bytes) -> Self:
        """Return the manifest that a bundle's config repeats."""
        content = json.loads(config)
        return cls.model_validate({key: content[key] for key in cls.model_fields})

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        check_repository(name)
        if "/" in name or len(name) > _MAX_NAME:
            raise ContractError(
                f"{name!r} must be one component of at most {_MAX_NAME} characters, without /"
            )
        return name

    @field_validator("version")
    @classmethod
    def _check_version(cls, version: str) -> str:
        if not _VERSION.fullmatch(version):
            raise ContractError(
                f"{version!r} must be 1 to 128 letters, digits and . _ + -, as in 1.0.0"
            )
        return version

    @field_validator("entrypoint")
    @classmethod
    def _check_entrypoint(cls, entrypoint: str) -> str:
        check_fn_ref(entrypoint)
        return entrypoint


def bundle_of(path: Path) -> Path:
    """Return the bundle that a file or directory is in: the nearest directory with a manifest.

    Raises:
        BundleFileError: if there is none.
    """
    # Not resolved: a bundle is where the user sees it, whatever links lead there.
    here = Path(os.path.abspath(path))  # noqa: PTH100 — Path.absolute keeps `..`
    for directory in (here, *here.parents):
        if (directory / MANIFEST_FILE).is_file():
            return directory
    raise BundleFileError(
        f"{path} is in no bundle: neither its folder nor one above has a {MANIFEST_FILE}.",
        hint="Make a bundle with: mops bundle init DIR",
    )


def read_manifest(root: Path) -> BundleManifest:
    """Read the manifest of the bundle in the directory `root`.

    Raises:
        BundleFileError: if there is none, it isn't JSON (with line and column), or its content is
            wrong (all that is wrong, a line each).
    """
    path = root / MANIFEST_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except FileNotFoundError:
        raise BundleFileError(
            f"{root} is no bundle: it has no {MANIFEST_FILE}.",
            hint=f"Make a bundle with: mops bundle init {root}",
        ) from None
    except json.JSONDecodeError as error:
        raise BundleFileError(
            f"{path}:{error.lineno}:{error.colno}: this isn't JSON: {error.msg}",
            hint=f"It looks like this: {_EXAMPLE}",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleFileError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise BundleFileError(
            f"{path} must hold a JSON object.", hint=f"It looks like this: {_EXAMPLE}"
        )
    try:
        return BundleManifest.model_validate(content)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors(include_url=False)]
        raise BundleFileError(
            "\n  ".join([f"{path} isn't a bundle's manifest:", *lines]),
            hint=f"It looks like this: {_EXAMPLE}",
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return content


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} isn't known. {did_you_mean_or_all(key, BundleManifest.model_fields)}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    return f"{key} is {problem['input']!r}: {problem['msg'].lower()}"
