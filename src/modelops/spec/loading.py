"""Reading runtime.yaml."""

from pathlib import Path

from modelops.core.errors import SpecError, UsageError
from modelops.spec.models import Provider, RuntimeSpec, is_dns_label
from modelops.spec.problems import InvalidSpecError, SpecProblem
from modelops.spec.tree import place_of, read_tree
from modelops.spec.validation import validate

_MAX_BYTES = 1024 * 1024


def load(path: Path, *, env: str | None = None, provider: str | None = None) -> RuntimeSpec:
    """Read a file as a RuntimeSpec.

    Args:
        path: the file.
        env: the environment, instead of the file's.
        provider: the provider, instead of the file's. If it's another one, the file's options of
            its provider aren't passed on to it.

    Raises:
        UsageError: if there is no such file, or `env` isn't a DNS label.
        InvalidSpecError: with everything that is wrong with it.
        SpecError: if it can't be read.
    """
    if env is not None and not is_dns_label(env):
        raise UsageError(
            f"environment {env!r} isn't a DNS label.",
            hint="Use at most 63 lower-case letters, digits and -, with no - at either end.",
        )
    spec = load_text(_read(path), file=str(path))
    if provider is not None and provider != spec.spec.provider.name:
        return spec.at(env=env, provider=Provider(name=provider))
    return spec.at(env=env)


def load_text(text: str, *, file: str = "runtime.yaml") -> RuntimeSpec:
    """Read a text as a RuntimeSpec; `file` is what errors call it.

    Raises:
        InvalidSpecError: with everything that is wrong with it.
    """
    spec, problems = validate(read_tree(text, file))
    if spec is None:
        raise InvalidSpecError(problems)
    return spec


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"There is no {path}.",
            hint="Make one to start from with `mops init DIR`, or name yours with -f FILE.",
        ) from None
    except IsADirectoryError:
        raise UsageError(
            f"{path} is a directory.", hint=f"Name the file in it: -f {path / 'runtime.yaml'}"
        ) from None
    except OSError as error:
        raise SpecError(f"{path} can't be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise SpecError(
            f"{path} is larger than 1 MiB.",
            hint="A spec is a few hundred lines. Is this the right file?",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        line, column = place_of(before, len(before))
        problem = SpecProblem(str(path), line, column, "", "", "it isn't UTF-8 from here on")
        raise InvalidSpecError([problem]) from error
