"""buildah and docker, in the few things that images need of them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from inputs import ROOT

from modelops.core.errors import ModelOpsError, UsageError
from modelops.core.tools import tool_cache

DOCKERFILE = ROOT / "docker" / "Dockerfile"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class BuildError(ModelOpsError):
    """A program that builds or moves images failed; it said why itself."""


class Tool(Protocol):
    """What builds images and takes them to and from registries."""

    def has(self, image: str) -> bool:
        """Return whether an image is there."""

    def build(
        self, target: str, image: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> None:
        """Build a target of the Dockerfile."""

    def tag(self, image: str, other: str) -> None:
        """Give an image another name."""

    def keep(self, image: str, out: Path, name: str, tag: str) -> str:
        """Keep an image below `out` if it has a digest already; return it, or an empty text."""

    def is_kept(self, out: Path, name: str, tag: str) -> bool:
        """Return whether `keep` has kept it."""

    def push(self, image: str, out: Path, name: str, repository: str, tag: str) -> str:
        """Take what was built to a registry, and return its digest there."""

    def pull(self, reference: str, image: str) -> str:
        """Fetch an image, name it `image`, and return its digest."""


class Buildah:
    """buildah, and skopeo for what has been built."""

    def has(self, image: str) -> bool:
        """See `Tool.has`."""
        return _succeeds("buildah", "inspect", "--type", "image", image)

    def build(
        self, target: str, image: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> None:
        """See `Tool.build`."""
        command = ["buildah", "build", "--layers", "--format", "oci"]
        _run(*command, *_build_options(target, image, arguments, secrets), str(ROOT))

    def tag(self, image: str, other: str) -> None:
        """See `Tool.tag`."""
        _run("buildah", "tag", image, other)

    def keep(self, image: str, out: Path, name: str, tag: str) -> str:
        """See `Tool.keep`."""
        with tempfile.TemporaryDirectory(dir=out) as folder:
            digest, layout = Path(folder, "digest"), Path(folder, "layout")
            to = f"oci:{layout}:{tag}"
            # gzip takes 20 s of a core for each image; runtimes have read zstd since 2021.
            fast = ["--compression-format", "zstd", "--compression-level", "1"]
            _run("buildah", "push", "--quiet", *fast, "--digestfile", str(digest), image, to)
            shutil.rmtree(out / name, ignore_errors=True)
            layout.rename(out / name)
            return digest.read_text()

    def is_kept(self, out: Path, name: str, tag: str) -> bool:
        """See `Tool.is_kept`."""
        index = out / name / "index.json"
        return (out / f"{name}.digest").exists() and index.exists() and tag in index.read_text()

    def push(self, image: str, out: Path, name: str, repository: str, tag: str) -> str:
        """See `Tool.push`."""
        del image
        built = out / f"{name}.digest"
        if not built.exists() or not (out / name).exists():
            raise UsageError(f"{name} isn't built.", hint=f"make build-{name}")
        digest = built.read_text().strip()
        verify = f"--dest-tls-verify={'false' if _is_here(repository) else 'true'}"
        to = f"docker://{repository}:{tag}"
        _run("skopeo", "copy", "--quiet", "--preserve-digests", verify, f"oci:{out / name}", to)
        return digest

    def pull(self, reference: str, image: str) -> str:
        """See `Tool.pull`."""
        verify = f"--tls-verify={'false' if _is_here(reference) else 'true'}"
        digest = _output(
            "skopeo", "inspect", verify, "--format", "{{.Digest}}", f"docker://{reference}"
        )
        repository = reference.rpartition(":")[0]
        _run("buildah", "pull", "--quiet", verify, f"{repository}@{digest}")
        _run("buildah", "tag", f"{repository}@{digest}", image)
        return digest


class Docker:
    """docker with BuildKit; only registries know the digests of its images."""

    def has(self, image: str) -> bool:
        """See `Tool.has`."""
        return _succeeds("docker", "image", "inspect", image)

    def build(
        self, target: str, image: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> None:
        """See `Tool.build`."""
        _run("docker", "build", *_build_options(target, image, arguments, secrets), str(ROOT))

    def tag(self, image: str, other: str) -> None:
        """See `Tool.tag`."""
        _run("docker", "tag", image, other)

    def keep(self, image: str, out: Path, name: str, tag: str) -> str:
        """See `Tool.keep`."""
        del image, out, name, tag
        return ""

    def is_kept(self, out: Path, name: str, tag: str) -> bool:
        """See `Tool.is_kept`."""
        del out, name, tag
        return False

    def push(self, image: str, out: Path, name: str, repository: str, tag: str) -> str:
        """See `Tool.push`."""
        del out
        if not self.has(image):
            raise UsageError(f"{name} isn't built.", hint=f"make build-{name}")
        _run("docker", "tag", image, f"{repository}:{tag}")
        _run("docker", "push", "--quiet", f"{repository}:{tag}")
        return self._digest(f"{repository}:{tag}", repository)

    def pull(self, reference: str, image: str) -> str:
        """See `Tool.pull`."""
        _run("docker", "pull", "--quiet", reference)
        _run("docker", "tag", reference, image)
        return self._digest(reference, reference.rpartition(":")[0])

    def _digest(self, image: str, repository: str) -> str:
        form = "{{range .RepoDigests}}{{println .}}{{end}}"
        for line in _output("docker", "image", "inspect", "--format", form, image).split():
            if line.startswith(f"{repository}@"):
                return line.rpartition("@")[2]
        raise BuildError(f"docker doesn't say which digest {image} has at its registry.")


def available_tool(named: str | None) -> Tool:
    """Return the tool that is named, or the one that works here: docker, else buildah.

    Raises:
        UsageError: if there is none.
    """
    if named == "docker" or (named is None and _succeeds("docker", "version")):
        return Docker()
    if named == "buildah" or shutil.which("buildah"):
        return Buildah()
    raise UsageError(
        "There is neither a docker that runs nor buildah.",
        hint="Start docker, or install the packages buildah and skopeo.",
    )


def debian_base() -> str:
    """Make a base image of this machine's own Debian, once, and return its name."""
    return _output(str(Path(__file__).with_name("base.sh")), str(tool_cache()))


def _build_options(
    target: str, image: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]
) -> list[str]:
    options = ["--file", str(DOCKERFILE), "--target", target, "--tag", image]
    for name, value in arguments.items():
        options += ["--build-arg", f"{name}={value}"]
    for name, path in secrets.items():
        options += ["--secret", f"id={name},src={path}"]
    return options


def _is_here(reference: str) -> bool:
    host = reference.partition("/")[0]
    return host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK


def _environment() -> dict[str, str]:
    # Needs neither a runtime nor namespaces, which containers and small machines may not have.
    return {"BUILDAH_ISOLATION": "chroot", **os.environ}


def _run(*command: str) -> None:
    _output(*command, capture=False)


def _output(*command: str, capture: bool = True) -> str:
    try:
        done = subprocess.run(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            # Stdout is for digests.
            stdout=subprocess.PIPE if capture else 2,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError(
            f"{command[0]} isn't installed.", hint=f"Install the package {command[0]}."
        ) from None
    if done.returncode:
        raise BuildError(f"{' '.join(command[:2])} failed, see above.")
    return (done.stdout or "").strip()


def _succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    done = subprocess.run(command, env=_environment(), capture_output=True, check=False)
    return done.returncode == 0
