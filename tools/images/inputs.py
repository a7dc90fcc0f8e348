"""What an image is made of: the files, the arguments, where they come from."""

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]

_ALL = (
    *(".dockerignore", "docker/Dockerfile", "LICENSE", "README.md", "modelops-images.yaml"),
    *("pyproject.toml", "requirements/*.txt", "src/**/*"),
)
_TEST = ("tests/**/*", "docs/*.md", "examples/**/*", "tools/go.mod")


def inputs_digest(name: str, arguments: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, of all that decides what an image is, but the base's content."""
    digest = hashlib.sha256(repr((name, sorted(arguments.items()))).encode())
    for path in sorted(_files(*_ALL, *(_TEST if name == "test" else ()))):
        content = path.read_bytes()
        mode = path.stat().st_mode & 0o111
        line = f"{path.relative_to(ROOT).as_posix()} {mode:o} {len(content)}\n"
        digest.update(line.encode() + content)
    return digest.hexdigest()


def revision() -> str:
    """Return git's commit, with `-dirty` where files differ from it; empty outside git."""
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def source_url() -> str:
    """Return the address that the source was cloned from, never with a login; empty if unknown."""
    url = _git("remote", "get-url", "origin")
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        port = f":{parts.port}" if parts.port else ""
        return f"https://{parts.hostname}{port}{parts.path.removesuffix('.git')}"
    host, colon, path = url.removeprefix("git@").partition(":")
    is_ssh = url.startswith("git@") and colon
    return f"https://{host}/{path.removesuffix('.git')}" if is_ssh else ""


def _files(*patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
