"""`modelops-images.yaml`: the single source of the names of container images.

    from modelops.images import get_image_config

    get_image_config().worker_image()  # ghcr.io/modelops/modelops-worker:latest

The file is, in this order: the one that MODELOPS_IMAGES_FILE names, `modelops-images.yaml` in the
working directory, the one that ModelOps was installed with. Variables go before what it says:
MODELOPS_IMAGES_PROFILE chooses the profile, MODELOPS_IMAGES_REGISTRY, MODELOPS_IMAGES_ORG and
MODELOPS_IMAGES_TAG are taken instead of the profile's, and MODELOPS_SCHEDULER_IMAGE,
MODELOPS_WORKER_IMAGE and MODELOPS_RUNNER_IMAGE name one image in full, pinned by digest say.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from modelops.contracts.bundles import DIGEST, HOST, REPOSITORY, TAG
from modelops.core.errors import SpecError, UsageError
from modelops.core.near_miss import did_you_mean, did_you_mean_or_all
from modelops.spec.models.base import Label, Part, matching
from modelops.spec.problems import Finding, InvalidSpecError, SpecProblem, list_words
from modelops.spec.tree import Tree, read_tree

FILE_NAME = "modelops-images.yaml"
"""The file, in the working directory and in ModelOps' own source folder."""

ImageName = Literal["scheduler", "worker", "runner"]
IMAGE_NAMES: tuple[ImageName, ...] = get_args(ImageName)
"""The images that there are."""

_PREFIX = "MODELOPS_IMAGES_"
_FILE, _PROFILE = f"{_PREFIX}FILE", f"{_PREFIX}PROFILE"
_REFERENCE = re.compile(
    rf"(?:{HOST.pattern}/)?{REPOSITORY.pattern}"
    rf"(?:(?::{TAG.pattern})?@{DIGEST.pattern}|:{TAG.pattern})"
)
# Without a dot, a port or this name, container tools take it for a part of the repository.
_REGISTRY = rf"(?:localhost|(?=[^/]*[.:]){HOST.pattern})"

_Registry = Annotated[
    str,
    matching(
        _REGISTRY,
        "a registry is a host with a dot, a port or both, without https:// or a path, as in "
        "ghcr.io or localhost:5000",
    ),
]
_Repository = Annotated[
    str,
    matching(
        REPOSITORY.pattern,
        "a name is lower-case letters and digits, separated by single . _ - or /, as in modelops",
    ),
]
_Tag = Annotated[
    str,
    matching(
        TAG.pattern,
        "a tag is at most 128 letters, digits, _, . and -, and begins with none of . and -",
    ),
]


class _Profile(Part):
    registry: _Registry = Field(description="the registry's host")
    org: _Repository = Field(description="what comes between host and name")
    tag: _Tag = Field(description="the tag where none is named")


class _Images(Part):
    scheduler: _Repository = Field(description="the name of Dask's scheduler's image")
    worker: _Repository = Field(description="the name of the workers' image")
    runner: _Repository = Field(description="the name of the image that carries out runs")


class _ImagesFile(Part):
    default: Label = Field(description="the profile where none is named")
    profiles: dict[Label, _Profile] = Field(description="registries by name", min_length=1)
    images: _Images = Field(description="the images' names")


@dataclass(frozen=True)
class ImageConfig:
    """The images' names in one profile, and what the environment says instead.

    Attributes:
        profile: the profile's name.
        registry: the registry's host, with its port.
        org: what comes between host and name.
        tag: the tag.
        names: each image's name.
        pinned: references that the environment names in full.
    """

    profile: str
    registry: str
    org: str
    tag: str
    names: Mapping[ImageName, str]
    pinned: Mapping[ImageName, str]

    def repository(self, name: ImageName) -> str:
        """Return where an image is pushed to: `host/org/name`."""
        return f"{self.registry}/{self.org}/{self.names[name]}"

    def image(self, name: ImageName) -> str:
        """Return an image's reference: `host/org/name:tag`, or what the environment says."""
        return self.pinned.get(name) or f"{self.repository(name)}:{self.tag}"

    def scheduler_image(self) -> str:
        """Return the reference of the image of Dask's scheduler."""
        return self.image("scheduler")

    def worker_image(self) -> str:
        """Return the reference of the workers' image."""
        return self.image("worker")

    def runner_image(self) -> str:
        """Return the reference of the image that carries out runs."""
        return self.image("runner")


def image_variable(name: ImageName) -> str:
    """Return the environment variable that names an image in full."""
    return f"MODELOPS_{name.upper()}_IMAGE"


def get_image_config(
    profile: str | None = None, environ: Mapping[str, str] | None = None
) -> ImageConfig:
    """Read the images' names.

    Args:
        profile: which profile; None is the environment's or, without one, the file's default.
        environ: the environment; None is this process's.

    Raises:
        InvalidSpecError: with everything that is wrong with the file, at line and column.
        SpecError: if it can't be read.
        UsageError: if there is no such profile, or a variable can't be what it says.
    """
    environ = os.environ if environ is None else environ
    path = _path(environ)
    content = _read(path)
    chosen = profile or environ.get(_PROFILE) or content.default
    found = content.profiles.get(chosen)
    if found is None:
        raise UsageError(
            f"There is no profile {chosen!r} in {path}.",
            hint=did_you_mean_or_all(chosen, content.profiles),
        )
    given = {key: environ.get(f"{_PREFIX}{key.upper()}") for key in _Profile.model_fields}
    settings = found.model_dump() | {key: value for key, value in given.items() if value}
    try:
        _Profile.model_validate(settings)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = str(details["loc"][0])
        raise UsageError(
            f"{_PREFIX}{key.upper()} is {settings[key]!r}: {_told(details)}."
        ) from None
    names: dict[ImageName, str] = {name: getattr(content.images, name) for name in IMAGE_NAMES}
    return ImageConfig(profile=chosen, names=names, pinned=_pinned(environ), **settings)


def _pinned(environ: Mapping[str, str]) -> dict[ImageName, str]:
    pinned: dict[ImageName, str] = {}
    for name in IMAGE_NAMES:
        reference = environ.get(image_variable(name))
        if not reference:
            continue
        if not _REFERENCE.fullmatch(reference):
            raise UsageError(
                f"{image_variable(name)} is {reference!r}, which isn't an image with a tag or a "
                "digest.",
                hint="Write host/name:tag or host/name@sha256:<64 hex digits>.",
            )
        pinned[name] = reference
    return pinned


def _path(environ: Mapping[str, str]) -> Path:
    named = environ.get(_FILE)
    if named:
        return Path(named)
    here = Path(FILE_NAME)
    if here.exists():
        return here
    packaged = Path(__file__).with_name(FILE_NAME)
    # An editable install has it where the source folder has it.
    return packaged if packaged.exists() else Path(__file__).parents[2] / FILE_NAME


def _read(path: Path) -> _ImagesFile:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"There is no {path}, which {_FILE} names.", hint=f"Name another file or unset {_FILE}."
        ) from None
    except OSError as error:
        raise SpecError(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} isn't UTF-8.", hint="Save it as UTF-8.") from error
    if not text.strip():
        raise SpecError(f"{path} is empty.", hint="docs/images.md shows what is in it.")
    tree = read_tree(text, str(path))
    problems = list(tree.problems)
    try:
        content = _ImagesFile.model_validate(tree.data)
    except ValidationError as error:
        problems += [_problem(details, tree) for details in error.errors(include_url=False)]
        raise InvalidSpecError(problems) from None
    if content.default not in content.profiles:
        allowed = list_words(content.profiles, "or")
        suggestion = did_you_mean(content.default, content.profiles)
        finding = Finding(
            ("default",), f"this isn't a profile of the file; allowed: {allowed}", suggestion
        )
        problems.append(tree.source.problem(finding))
    if problems:
        raise InvalidSpecError(problems)
    return content


def _problem(details: ErrorDetails, tree: Tree) -> SpecProblem:
    # Pydantic marks a key that is wrong itself by a last part of its own.
    at_key = details["loc"][-1:] == ("[key]",)
    path = details["loc"][:-1] if at_key else details["loc"]
    if details["type"] == "extra_forbidden":
        keys = _keys_around(path)
        message = f"`{path[-1]}` isn't a key here; allowed: {list_words(keys)}"
        found = Finding(path, message, did_you_mean(path[-1], keys), at_key=True)
    else:
        missing = details["type"] == "missing"
        found = Finding(path, _told(details, path), at_key=at_key, missing=missing)
    return tree.source.problem(found)


def _told(details: ErrorDetails, path: tuple[str | int, ...] = ()) -> str:
    match details["type"]:
        case "missing":
            about = _model_around(path).model_fields[str(path[-1])].description
            told = f"this is missing: {about}"
        case "string_type":
            told = "this must be text"
        case "dict_type":
            told = "this must be a mapping from names of profiles"
        case "model_type":
            told = f"this must be a mapping with the keys {list_words(_keys_around((*path, '')))}"
        case "too_short":
            told = "there must be one profile at least"
        case "value_error":
            told = str(details.get("ctx", {}).get("error"))
        case _:
            told = details["msg"]
    return told


def _keys_around(path: tuple[str | int, ...]) -> list[str]:
    return list(_model_around(path).model_fields)


def _model_around(path: tuple[Any, ...]) -> type[Part]:
    """Return the model that the last key of a path belongs to."""
    if len(path) < 2:
        return _ImagesFile
    return _Images if path[0] == "images" else _Profile
