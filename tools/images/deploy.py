"""`make deploy` and `make verify-deploy`: the images that were pushed last, in a workspace.

Only `mops workspace up` changes anything. It hears of the digests by the variables that go before
modelops-images.yaml, which a provider asks for images (`modelops.images`). What runs is read with
kubectl, whose current context has to be the workspace's cluster.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelops.contracts.bundles import DIGEST
from modelops.core.errors import ModelOpsError, NotThereError, UsageError
from modelops.core.naming import StackNaming
from modelops.images import IMAGE_NAMES, get_image_config, image_variable

_APPS = {"dask-scheduler": "scheduler", "dask-worker": "worker"}


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("deploy", "verify"))
    parser.add_argument("--env", required=True, help="the environment")
    parser.add_argument("--config", default="runtime.yaml", help="the RuntimeSpec")
    parser.add_argument("--profile", help="of modelops-images.yaml")
    parser.add_argument("--out", type=Path, default=Path(".build"), help="where digests are")
    options = parser.parse_args(argv)
    try:
        images = _pushed(options.out, options.profile)
        if options.action == "deploy":
            return _deploy(images, options)
        wrong = list(_differences(_pods(options.env), images))
    except ModelOpsError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    if not wrong:
        sys.stdout.write("All pods run the images that were pushed last.\n")
    return 1 if wrong else 0


def _pushed(out: Path, profile: str | None) -> dict[str, str]:
    """Return the images' references by digest."""
    # What a shell has exported must not hide what is to be deployed.
    environ = {key: value for key, value in os.environ.items() if not key.endswith("_IMAGE")}
    config = get_image_config(profile, environ)
    images = {}
    for name in IMAGE_NAMES:
        file = out / f"{name}.digest"
        digest = file.read_text().strip() if file.exists() else ""
        if not DIGEST.fullmatch(digest):
            raise UsageError(f"There is no {file}.", hint="First: make build push")
        images[name] = f"{config.repository(name)}@{digest}"
    return images


def _deploy(images: dict[str, str], options: argparse.Namespace) -> int:
    variables = {image_variable(name): images[name] for name in IMAGE_NAMES}
    mops = Path(sys.executable).with_name("mops")
    command = ["workspace", "up", "--yes", "--env", options.env, "-f", options.config]
    sys.stdout.write("# With these, `mops workspace up` keeps the images:\n")
    sys.stdout.writelines(f"export {name}={image}\n" for name, image in variables.items())
    sys.stdout.flush()
    return subprocess.run(
        [str(mops), *command],
        env={**os.environ, **variables},
        check=False,
    ).returncode


def _pods(env: str) -> list[dict[str, Any]]:
    namespace = StackNaming(env).namespace()
    command = [*os.environ.get("KUBECTL", "kubectl").split(), "--namespace", namespace]
    try:
        done = subprocess.run(
            [*command, "get", "pods", "--output", "json"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError(
            f"{command[0]} isn't installed.", hint="Install it, or name another one: KUBECTL=…"
        ) from None
    if done.returncode:
        raise NotThereError(
            f"The pods of {namespace} can't be read: {done.stderr.strip()}",
            hint='Choose the cluster: KUBECTL="kubectl --context NAME"',
        )
    pods: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return pods


def _differences(pods: list[dict[str, Any]], images: dict[str, str]) -> Iterator[str]:
    """Say which pods run another image than they should, or don't run."""
    seen = set()
    for pod in pods:
        name = pod["metadata"]["name"]
        app = pod["metadata"].get("labels", {}).get("app", "")
        image = images.get(_APPS.get(app, ""))
        if image is None or "deletionTimestamp" in pod["metadata"]:
            continue
        seen.add(app)
        running = {container["image"] for container in pod["spec"]["containers"]}
        if image not in running:
            yield f"{name} has {', '.join(sorted(running))} instead of {image}"
        conditions = pod.get("status", {}).get("conditions", [])
        states = {item["type"]: item["status"] for item in conditions}
        if states.get("Ready") != "True":
            yield f"{name} isn't ready"
    # A group of workers may be scaled to nothing.
    if "dask-scheduler" not in seen:
        yield "There is no pod of the scheduler."


if __name__ == "__main__":
    sys.exit(main())
