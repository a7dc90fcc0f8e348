"""`.modelops-bundle/registry.yaml`: which models and targets a bundle has."""

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from modelops.bundles.files import write_atomically
from modelops.contracts import ContractError
from modelops.contracts.simulation import check_fn_ref
from modelops.core.errors import BundleFileError

REGISTRY_FILE = ".modelops-bundle/registry.yaml"

Kind = Literal["models", "targets"]

_HEADER = "# Written by mops bundle. `mops bundle refresh` makes it anew from the code.\n"


def _fn_ref(text: str) -> str:
    check_fn_ref(text)
    return text


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or str(path) != text or text == ".":
        raise ContractError(f"{text!r} isn't a path inside the bundle, as in models/sir.py")
    return text


def check_id(text: str) -> str:
    """Return `text` if it can be the id of a model or a target.

    Raises:
        ContractError: if it is empty, has blanks at an end or characters that can't be seen.
    """
    if not text or text != text.strip() or not text.isprintable():
        raise ContractError(f"{text!r} can't be an id: write visible characters, as in prevalence")
    return text


_Functions = dict[Annotated[str, AfterValidator(check_id)], "RegisteredFunction"]


class RegisteredFunction(BaseModel):
    """A function of the bundle that has an id.

    Attributes:
        path: the file, relative to the bundle, with /.
        entrypoint: `module:function`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: Annotated[str, AfterValidator(_inside)]
    entrypoint: Annotated[str, AfterValidator(_fn_ref)]


class BundleRegistry(BaseModel):
    """A bundle's models and targets: id → where the function is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    models: _Functions = Field(default_factory=dict)
    targets: _Functions = Field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[str, RegisteredFunction]:
        """Return the models or the targets."""
        return self.models if kind == "models" else self.targets

    def entries(self) -> Iterator[tuple[Kind, str, RegisteredFunction]]:
        """Yield every entry: models before targets, by id."""
        kinds: tuple[Kind, ...] = ("models", "targets")
        for kind in kinds:
            for name, function in sorted(self.of(kind).items()):
                yield kind, name, function

    def to_json(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return the registry as JSON, sorted by id."""
        kinds: tuple[Kind, ...] = ("models", "targets")
        return {
            kind: {name: self.of(kind)[name].model_dump() for name in sorted(self.of(kind))}
            for kind in kinds
        }

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Read what `to_json` wrote; a part that is empty may be null or missing.

        Raises:
            pydantic.ValidationError: if it is something else.
        """
        if isinstance(content, dict):
            content = {key: {} if value is None else value for key, value in content.items()}
        return cls.model_validate({} if content is None else content)


def read_registry(root: Path) -> BundleRegistry | None:
    """Read the registry of the bundle in the directory `root`; None if it has none.

    Raises:
        BundleFileError: if it isn't YAML (with line and column) or its content is wrong.
    """
    path = root / REGISTRY_FILE
    try:
        return BundleRegistry.from_json(_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise BundleFileError(
            f"{path}{place}: this isn't YAML: {error.problem or error.context}", hint=_HINT
        ) from error
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors(include_url=False)]
        raise BundleFileError(
            "\n  ".join([f"{path} isn't a bundle's registry:", *lines]), hint=_HINT
        ) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise BundleFileError(f"{path} can't be read: {error}", hint=_HINT) from error


_HINT = "Mend it, or make it anew from the code with: mops bundle refresh"


def write_registry(root: Path, registry: BundleRegistry) -> Path:
    """Write the registry of the bundle in `root`; return the file.

    It appears by one rename. Equal registries give equal bytes.
    """
    path = root / REGISTRY_FILE
    path.parent.mkdir(exist_ok=True)
    text = yaml.safe_dump(registry.to_json(), sort_keys=True, allow_unicode=True)
    write_atomically(path, (_HEADER + text).encode())
    return path


class _Loader(yaml.SafeLoader):
    """YAML without keys that are there twice: the later would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, stricter


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "missing":
        return f"{where} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{where} isn't known"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    return f"{where}: {problem['msg'].lower()}"
