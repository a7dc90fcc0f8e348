"""Reading runtime.yaml."""

from pathlib import Path

from modelops.core.errors import SpecError, UsageError
from modelops.core.near_miss import did_you_mean_or_all
from modelops.spec.installed import Installed
from modelops.spec.models import RuntimeSpec, is_dns_label
from modelops.spec.problems import InvalidSpecError, SpecProblem, printable
from modelops.spec.tree import place_of, read_tree
from modelops.spec.validation import provider_named, validate

_MAX_BYTES = 1024 * 1024
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def load(
    path: Path,
    *,
    env: str | None = None,
    provider: str | None = None,
    installed: Installed | None = None,
) -> RuntimeSpec:
    """Read a file as a RuntimeSpec.

    Args:
        path: the file.
        env: the environment, instead of the file's.
        provider: the provider, instead of the file's. If it's another one, the file's keys of its
            own provider are checked and left out.
        installed: which plugins there are. Without it, providers that aren't known by the format
            itself and types of algorithms are taken as they are.

    Raises:
        UsageError: if there is no such file, `env` isn't a DNS label, or `provider` isn't there.
        InvalidSpecError: with everything that is wrong with it.
        SpecError: if it can't be read.
    """
    if env is not None and not is_dns_label(env):
        raise UsageError(
            f"environment {printable(env)!r} isn't a DNS label.",
            hint="Use at most 63 lower-case letters, digits and -, with no - at either end.",
        )
    if provider is not None and installed is not None and provider not in installed.providers:
        raise UsageError(
            f"There is no provider {printable(provider)!r}.",
            hint=did_you_mean_or_all(provider, installed.providers),
        )
    tree = read_tree(_read(path), str(path))
    spec, problems = validate(tree, installed, provider)
    if spec is None:
        raise InvalidSpecError(problems)
    if provider is not None and provider != spec.spec.provider.name:
        return spec.at(env=env, provider=provider_named(provider, spec, installed))
    return spec.at(env=env)


def load_text(
    text: str, *, file: str = "runtime.yaml", installed: Installed | None = None
) -> RuntimeSpec:
    """Read a text as a RuntimeSpec; `file` is what errors call it, `installed` as in `load`.

    Raises:
        InvalidSpecError: with everything that is wrong with it.
    """
    spec, problems = validate(read_tree(text, file), installed)
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
    except PermissionError:
        raise SpecError(
            f"{path} can't be read: you may not.", hint=f"Allow it with `chmod u+r {path}`."
        ) from None
    except OSError as error:
        raise SpecError(f"{path} can't be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise SpecError(
            f"{path} is larger than 1 MiB.",
            hint="A spec is a few hundred lines. Is this the right file?",
        )
    return _decoded(content, str(path))


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        line, column = place_of(before, len(before))
        written = "UTF-16" if content.startswith(_UTF_16) else "another encoding"
        suggestion = f"Save it as UTF-8; it seems to be in {written}."
        message = "it isn't UTF-8 from here on"
        problem = SpecProblem(file, line, column, "", "", message, suggestion)
        raise InvalidSpecError([problem]) from error
