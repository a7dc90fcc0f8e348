"""uv, the program that resolves and installs: what it is told, and what of it may be told on."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from uv import find_uv_bin

from modelops.bundles.redaction import HIDDEN, Secrets
from modelops.core.errors import BundleError, ModelOpsError
from modelops.core.secret_files import file_variable, secret_variable, stored_secrets
from modelops.environments.git_credentials import CREDENTIALS_VARIABLE, git_variables

MAX_MESSAGE = 4_000
"""How many characters of uv's message are kept: the last of them."""

# What the install is told of the worker's environment, beside uv's own settings.
_PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "NETRC", "SSH_AUTH_SOCK"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    }
)
# What would make another environment than the one that is asked for.
_KEPT_BACK = frozenset(
    {
        *("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_PROJECT"),
        *("UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_NO_SYNC"),
        *("UV_MANAGED_PYTHON", "UV_NO_MANAGED_PYTHON", "UV_VENV_SEED", "UV_VENV_CLEAR"),
        *("UV_DEV", "UV_NO_DEV", "UV_GROUP", "UV_NO_GROUP", "UV_ISOLATED", "UV_LOCKED"),
        *("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_ENV_FILE", "UV_FROZEN"),
        *("UV_REINSTALL", "UV_LOG_CONTEXT", "UV_NO_INSTALL_PROJECT", "UV_NO_DEFAULT_GROUPS"),
    }
)
# Variables that may be secrets: X_FILE has the path of the value of X, or the environment's secrets
# have it by that name.
_MAY_BE_SECRET = re.compile(
    r"UV_(?:DEFAULT_INDEX|INDEX(?:_\w+)?|EXTRA_INDEX_URL|FIND_LINKS)|"
    rf"{CREDENTIALS_VARIABLE}"
)
_FILE = file_variable("")
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|CREDENTIALS", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)([^/\s]+)@")


class InstallError(ModelOpsError):
    """uv couldn't do it; the message is uv's own, without secrets.

    Attributes:
        is_final: whether it would end the same if it were tried again at once.
    """

    def __init__(self, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.is_final = is_final


class Uv:
    """uv with this machine's settings: indexes, their passwords, its cache."""

    def __init__(self, cache_dir: Path, index: Mapping[str, str] | None = None) -> None:
        """Make uv ready.

        Args:
            cache_dir: uv's cache, unless UV_CACHE_DIR says another.
            index: variables that go to uv only and before those of this process's environment,
                such as UV_INDEX_NAME_PASSWORD.
        """
        self._cache_dir = cache_dir
        self._index = dict(index or {})

    def run(self, *arguments: str, folder: Path, **variables: str) -> str:
        """Run uv in a folder, whose settings (`uv.toml`, `pyproject.toml`) count; return stdout.

        Raises:
            InstallError: if it fails.
            SecretError: if the file of a secret can't be read.
        """
        environment, secrets = self._environment()
        try:
            program = find_uv_bin()
            done = subprocess.run(
                [program, *arguments, "--quiet"],
                cwd=folder,
                env={**environment, **variables},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise InstallError(f"uv can't be started: {error}", is_final=False) from error
        if done.returncode:
            said = _hide(secrets, done.stderr.strip() or done.stdout.strip())
            message = said if len(said) <= MAX_MESSAGE else f"…{said[-MAX_MESSAGE:]}"
            raise InstallError(
                message or f"uv ended with exit status {done.returncode}",
                is_final=done.returncode > 0,
            )
        return done.stdout

    def _environment(self) -> tuple[dict[str, str], Secrets]:
        """Return all of uv's environment, and the secrets that are in it."""
        given = {**os.environ, **self._index}
        for variable in [name for name in given if _is_file(name)]:
            name = variable.removesuffix(_FILE)
            value = secret_variable(given, name)
            if value is not None:
                given.setdefault(name, value)
        given = {**stored_secrets(given, _MAY_BE_SECRET), **given}
        passed = {
            name: value
            for name, value in given.items()
            if name in _PASSED_ON
            or name.startswith("LC_")
            or (name.startswith("UV_") and name not in _KEPT_BACK and not _is_file(name))
        }
        credentials = git_variables(given.get(CREDENTIALS_VARIABLE, ""))
        environment = {
            "UV_CACHE_DIR": str(self._cache_dir),
            **passed,
            **credentials,
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "NO_COLOR": "1",
        }
        return environment, _secrets(environment)


def _is_file(variable: str) -> bool:
    """Whether a variable has the path of a secret."""
    name = variable.removesuffix(_FILE)
    return name != variable and _MAY_BE_SECRET.fullmatch(name) is not None


def _hide(secrets: Secrets, text: str) -> str:
    return _USER_INFO.sub(f"{HIDDEN}@", secrets.hide(text))


def _secrets(environment: Mapping[str, str]) -> Secrets:
    secrets = Secrets()
    for name, value in environment.items():
        if _SECRET_NAME.search(name):
            secrets.add(value)
        for user_info in _USER_INFO.findall(value):
            user, _, password = user_info.partition(":")
            # Without a password, the user is the token.
            secrets.add(*{word for raw in [password or user] for word in (raw, unquote(raw))})
    return secrets


def install_error(what: str, error: InstallError, hint: str) -> BundleError:
    """Return the error of a bundle whose packages can't be installed."""
    return BundleError(f"{what}\n{error.message}", hint=hint)
