"""How this machine reaches its package index, as build secrets: files that no layer holds."""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

# Addresses and logins of indexes, and proxies. Paths of this machine mean nothing in a build.
_PASSED_ON = re.compile(
    r"PIP_(?:INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|PROXY|DEFAULT_TIMEOUT|RETRIES)"
    r"|UV_(?:DEFAULT_INDEX|INDEX(?:_\w+)?|EXTRA_INDEX_URL|INSECURE_HOST|HTTP_TIMEOUT)"
    r"|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy"
)
_CA = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
_IN_BUILD = "/run/secrets/ca"


def index_secrets(folder: Path, environ: Mapping[str, str]) -> dict[str, Path]:
    """Return the secrets that docker/Dockerfile knows, by id: files, some of them made in `folder`.

    They are: `index`, a shell script that sets variables; `ca`, certificates; `pip` and `uv`, those
    programs' own settings. What isn't set here isn't there.
    """
    secrets: dict[str, Path] = {}
    variables = {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}
    ca = _first(environ.get(name) for name in _CA)
    if ca is not None:
        secrets["ca"] = ca
        variables |= dict.fromkeys(_CA, _IN_BUILD)
    if variables:
        script = folder / "index"
        script.touch(mode=0o600)
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        script.write_text("".join(lines))
        secrets["index"] = script
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    of_pip = (environ.get("PIP_CONFIG_FILE"), config / "pip/pip.conf", home / ".pip/pip.conf")
    pip = _first([*of_pip, "/etc/pip.conf"])
    uv = _first([environ.get("UV_CONFIG_FILE"), config / "uv/uv.toml", "/etc/uv/uv.toml"])
    return secrets | {name: path for name, path in (("pip", pip), ("uv", uv)) if path is not None}


def _first(paths: Iterable[str | Path | None]) -> Path | None:
    return next((Path(path) for path in paths if path and Path(path).is_file()), None)
