"""`make build`, `push` and `pull-latest`: the container images, by buildah or docker.

buildah's images are kept as OCI layouts too, `OUT/NAME`, so that their digests are known before any
registry has them; docker's have one once they are pushed. `OUT/NAME.digest` holds it.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from container_tools import Tool, available_tool, debian_base
from filelock import FileLock
from index_access import index_secrets
from inputs import ROOT, inputs_digest, revision, source_url

from modelops import __version__
from modelops.core.errors import ModelOpsError, UsageError
from modelops.images import IMAGE_NAMES, ImageConfig, get_image_config

TARGETS = (*IMAGE_NAMES, "test")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("build", "push", "pull"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--tool", choices=("buildah", "docker"), help="default: what is there")
    parser.add_argument("--profile", help="of modelops-images.yaml")
    parser.add_argument("--base", help="the base image; `debian` makes one of this machine's own")
    parser.add_argument("--revision", help="the source's; default: git's")
    parser.add_argument("--out", type=Path, default=ROOT / ".build", help="for digests and layouts")
    options = parser.parse_args(argv)
    names = options.names or list(IMAGE_NAMES)
    try:
        if unknown := set(names) - set(TARGETS):
            raise UsageError(f"There is no image {unknown.pop()!r}.", hint=", ".join(TARGETS))
        tool = available_tool(options.tool)
        options.out.mkdir(parents=True, exist_ok=True)
        # Two at once would write the same layouts.
        with FileLock(options.out / "images.lock"):
            if options.action == "build":
                _build(tool, names, options)
            elif options.action == "push":
                _push(tool, names, options.out, get_image_config(options.profile))
            else:
                _pull(tool, names, options.out, get_image_config(options.profile))
    except ModelOpsError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return 0


def _build(tool: Tool, names: Sequence[str], options: argparse.Namespace) -> None:
    base = options.base
    if base == "debian":
        base = debian_base()
    arguments = {
        "VERSION": __version__,
        "REVISION": options.revision or revision(),
        "SOURCE": source_url(),
    }
    if base:
        arguments["BASE"] = base
    for name in names:
        local = f"localhost/modelops-{name}"
        tag = inputs_digest(name, arguments)[:16]
        built = options.out / f"{name}.digest"
        # The test image goes nowhere: no layout, no digest.
        is_local = name not in IMAGE_NAMES
        if tool.has(f"{local}:{tag}") and (is_local or tool.is_kept(options.out, name, tag)):
            digest = "" if is_local else built.read_text().strip()
            sys.stdout.write(f"{name} {digest or f'{local}:{tag}'} (unchanged)\n")
            continue
        built.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            secrets = index_secrets(Path(folder), os.environ)
            tool.build(name, f"{local}:{tag}", arguments, secrets)
        tool.tag(f"{local}:{tag}", f"{local}:latest")
        digest = "" if is_local else tool.keep(f"{local}:{tag}", options.out, name, tag)
        if digest:
            built.write_text(f"{digest}\n")
        sys.stdout.write(f"{name} {digest or f'{local}:{tag}'}\n")


def _push(tool: Tool, names: Sequence[str], out: Path, config: ImageConfig) -> None:
    for name in names:
        repository = _repository(config, name)
        digest = tool.push(f"localhost/modelops-{name}:latest", out, name, repository, config.tag)
        (out / f"{name}.digest").write_text(f"{digest}\n")
        sys.stdout.write(f"{repository}@{digest}\n")


def _pull(tool: Tool, names: Sequence[str], out: Path, config: ImageConfig) -> None:
    for name in names:
        repository = _repository(config, name)
        digest = tool.pull(f"{repository}:{config.tag}", f"localhost/modelops-{name}:latest")
        (out / f"{name}.digest").write_text(f"{digest}\n")
        sys.stdout.write(f"{repository}@{digest}\n")


def _repository(config: ImageConfig, name: str) -> str:
    for known in IMAGE_NAMES:
        if known == name:
            return config.repository(known)
    raise UsageError(f"The image {name} is for this machine only.")


if __name__ == "__main__":
    sys.exit(main())
