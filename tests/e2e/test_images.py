"""The images as a cluster runs them: from docker/Dockerfile, on a base made here, by runc."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from built_images import PLANTED, BuiltImages, build, build_images, images
from integration.registry_process import RegistryProcess, running_registry
from modelops import __version__
from modelops.images import IMAGE_NAMES
from modelops.services.dask_settings import scheduler_command
from oci_container import Container, MountedImage, mounted
from wheels import write_wheel

# The first test waits until all is built, which takes minutes where nothing is cached.
pytestmark = [pytest.mark.k8s, pytest.mark.timeout(1800, func_only=True)]

RUN_A_BUNDLE = """
import json, pathlib, sys
from modelops.bundles.access import RegistryAccess
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import EnvironmentMode, Execution
from modelops.worker.outputs import from_ipc
from modelops.services.process import ProcessSimulationService

registry = RegistryAccess("oci-layout:///var/lib/modelops/bundles")
ref = open_store(registry.url).push("tests/seir", pack(pathlib.Path("/bundle")))
execution = Execution(environment=EnvironmentMode(sys.argv[1]))
with ProcessSimulationService(2, registry=registry, execution=execution) as service:
    futures = [
        service.submit("model:simulate", {"beta": 2.0}, seed, bundle_ref=ref) for seed in (1, 2)
    ]
    for outcome in service.gather(futures):
        if outcome.failure is not None:
            sys.exit(f"{outcome.failure.message} {outcome.failure.details}")
        print(json.dumps(from_ipc(outcome.tables["output"]).to_pylist()))
"""

MODEL = """
import seir

def simulate(params, seed):
    return {"infected": params["beta"] * seed, "version": seir.VERSION}
"""

MEET = """
import sys
from distributed import Client

with Client("tcp://127.0.0.1:8786", timeout=60) as client:
    client.wait_for_workers(1, timeout=60)
    print(sorted(worker["name"] for worker in client.scheduler_info()["workers"].values()))
"""

# With -v the interpreter tells where the code of each module comes from.
COMPILED = """
import subprocess, sys
names = "modelops.runner.main, modelops.worker.supervisor, distributed.cli.dask_worker, scipy.stats"
command = [sys.executable, "-v", "-c", f"import {names}"]
said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
read = [line.split("'")[1] for line in said if line.startswith("# code object from '")]
print(len(read))
print([path for path in read if path.endswith(".py")])
"""


@pytest.fixture(scope="module")
def built() -> BuiltImages:
    return build_images()


@pytest.fixture(scope="module")
def image(built: BuiltImages) -> Iterator[dict[str, MountedImage]]:
    with (
        mounted(built.image("scheduler")) as scheduler,
        mounted(built.image("worker")) as worker,
        mounted(built.image("runner")) as runner,
    ):
        yield {"scheduler": scheduler, "worker": worker, "runner": runner}


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_it_says_what_it_is_and_runs_as_user_1000(
    name: str, image: dict[str, MountedImage], tmp_path: Path
) -> None:
    labels = image[name].config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"ModelOps {name}"
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == "test"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert "org.opencontainers.image.source" in labels
    assert image[name].config["User"] == "1000:1000"
    assert list(image[name].config["Volumes"]) == ["/var/lib/modelops"]

    script = (
        "import os, pathlib, modelops\n"
        "def can_write(place):\n"
        "    try: pathlib.Path(place, 'probe').write_text('')\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(os.getuid(), os.getgid(), modelops.__version__)\n"
        "places = ['/', '/opt/modelops', '/tmp', os.environ['MODELOPS_HOME']]\n"
        "print([place for place in places if can_write(place)])"
    )
    said = Container(image[name], folder(tmp_path, "run"), ["python", "-c", script]).run()
    assert said.splitlines() == [f"1000 1000 {__version__}", "['/tmp', '/var/lib/modelops']"]


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_it_holds_nothing_that_it_does_not_need(name: str, image: dict[str, MountedImage]) -> None:
    programs, unsafe = set(), []
    for place, _, files in os.walk(image[name].root):
        for file in files:
            path = Path(place, file)
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                continue
            if found.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH) or found.st_uid == 1000:
                unsafe.append(path)
            if found.st_mode & stat.S_IXUSR:
                programs.add(file)
    assert unsafe == []
    assert programs.isdisjoint({"gcc", "cc", "c++", "make", "ld", "pytest", "mypy", "ruff"})
    assert "uv" in programs
    # For packages that bundles take from Git; the scheduler installs none.
    assert ("git" in programs) == (name != "scheduler")
    assert not (image[name].root / "root/.cache").exists()
    assert not list((image[name].root / "run/secrets").glob("*"))


def test_no_secret_of_the_build_is_in_a_layer_or_in_the_history(built: BuiltImages) -> None:
    searched = 0
    for blob in {
        path.name: path
        for name in IMAGE_NAMES
        for path in built.layout(name).glob("blobs/sha256/*")
    }.values():
        with blob.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with gzip.open(blob) if is_gzip else blob.open("rb") as content:
            before = b""
            while block := content.read(1 << 22):
                assert PLANTED.encode() not in before + block
                assert b"/run/secrets/ca\n" not in before + block
                before = block[-100:]
                searched += len(block)
    assert searched > 100_000_000


def test_all_have_the_same_python_and_the_same_packages(
    image: dict[str, MountedImage], tmp_path: Path
) -> None:
    script = (
        "import sys; from importlib import metadata\n"
        "print(sys.version, sorted(f'{d.name}=={d.version}' for d in metadata.distributions()))"
    )
    said = {
        Container(image[name], folder(tmp_path, name), ["python", "-c", script]).run()
        for name in IMAGE_NAMES
    }
    (packages,) = said
    for package in ("adlfs", "cmaes", "gcsfs", "psycopg", "s3fs", "scipy"):
        assert f"'{package}==" in packages


def test_nothing_is_compiled_when_a_process_starts(
    image: dict[str, MountedImage], tmp_path: Path
) -> None:
    command = ["python", "-c", COMPILED]
    count, compiled = Container(image["worker"], tmp_path, command).run().splitlines()
    assert int(count) > 500
    assert compiled == "[]"


def test_images_start_what_runs_on_a_laptop(image: dict[str, MountedImage]) -> None:
    # Except that others reach the scheduler.
    local = scheduler_command(8786)[1:]
    host = local.index("--host") + 1
    local[host] = "0.0.0.0"
    assert image["scheduler"].command == ["python", "-P", *local]
    assert image["worker"].command[:4] == ["python", "-P", "-m", "modelops.worker.supervisor"]
    assert image["runner"].command[:4] == ["python", "-P", "-m", "modelops.runner.main"]


def test_scheduler_and_worker_find_each_other(
    image: dict[str, MountedImage], tmp_path: Path
) -> None:
    scheduler = Container(image["scheduler"], folder(tmp_path, "scheduler"))
    with scheduler.running():
        worker = Container(
            image["worker"],
            folder(tmp_path, "worker"),
            env={"DASK_SCHEDULER": "tcp://127.0.0.1:8786"},
            beside=scheduler,
        )
        with worker.running():
            command = ["python", "-c", MEET]
            client = Container(
                image["runner"], folder(tmp_path, "client"), command, beside=scheduler
            )
            assert client.run().splitlines()[-1] == "['default-0']", worker.log


@pytest.mark.parametrize("environment", ["layered", "isolated"])
def test_a_worker_runs_a_bundle_and_installs_its_packages(
    image: dict[str, MountedImage], tmp_path: Path, environment: str
) -> None:
    bundle = folder(tmp_path, "bundle")
    (bundle / "manifest.json").write_text(
        json.dumps({"name": "seir", "version": "1", "entrypoint": "model:simulate"})
    )
    (bundle / "model.py").write_text(MODEL)
    (bundle / "requirements.txt").write_text("seir==1.5\n")
    wheels = folder(tmp_path, "wheels")
    write_wheel(wheels, "seir", "1.5", {"seir.py": "VERSION = '1.5'\n"})
    container = Container(
        image["worker"],
        folder(tmp_path, "container"),
        ["python", "-c", RUN_A_BUNDLE, environment],
        env={"UV_FIND_LINKS": "/wheels", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"},
        mounts={bundle: "/bundle", wheels: "/wheels"},
    )
    returned = [json.loads(line) for line in container.run().splitlines()]
    assert returned == [[{"infected": 2.0 * seed, "version": "1.5"}] for seed in (1, 2)]


def test_a_runner_says_what_it_wants(image: dict[str, MountedImage], tmp_path: Path) -> None:
    assert "--run" in Container(image["runner"], tmp_path).run()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with running_registry(tmp_path_factory.mktemp("registry")) as process:
        yield process


def test_what_is_pushed_has_the_digest_that_was_built_and_is_pulled_again(
    built: BuiltImages, registry: RegistryProcess, tmp_path: Path
) -> None:
    environ = {"MODELOPS_IMAGES_REGISTRY": registry.host, "MODELOPS_IMAGES_TAG": "v1"}
    for _ in range(2):
        pushed = images("push", built, **environ).splitlines()
        assert pushed == [
            f"{registry.host}/modelops/modelops-{name}@{built.digest(name)}" for name in IMAGE_NAMES
        ]
    for name in IMAGE_NAMES:
        reference = f"docker://{registry.host}/modelops/modelops-{name}"
        for suffix in (":v1", f"@{built.digest(name)}"):
            assert skopeo(f"{reference}{suffix}") == built.digest(name)

    elsewhere = BuiltImages(folder(tmp_path, "elsewhere"))
    assert images("pull", elsewhere, "runner", **environ).splitlines() == [pushed[2]]
    assert elsewhere.digest("runner") == built.digest("runner")


def test_nothing_is_built_again_that_is_built(built: BuiltImages) -> None:
    before = {name: built.digest(name) for name in IMAGE_NAMES}
    said = build(built)
    assert [line.rpartition(" ")[2] for line in said.splitlines()] == ["(unchanged)"] * 3
    assert {name: built.digest(name) for name in IMAGE_NAMES} == before


def skopeo(reference: str) -> str:
    command = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", reference]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
