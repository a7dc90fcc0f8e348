"""Packages that need a login: it reaches the install and nothing else."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from environment_bundles import Machine, run_in
from modelops.core.errors import BundleError, SecretError
from modelops.environments import EnvironmentCache
from web_server import Answer, Seen, WebServer, serving
from wheels import index_of

pytestmark = pytest.mark.integration

TOKEN = "tok-5ecret-91c7"


@pytest.fixture
def index(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    machine.wheel("seir", "1.0")
    with index_of(machine.wheels, f"reader:{TOKEN}") as server:
        monkeypatch.delenv("UV_OFFLINE")
        monkeypatch.delenv("UV_FIND_LINKS")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"private={server.url}/simple/")
        monkeypatch.setenv("UV_INDEX_PRIVATE_USERNAME", "reader")
        yield server


def assert_not_written(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert TOKEN.encode() not in path.read_bytes(), path


def watch(server: WebServer, arguments: list[str]) -> None:
    """Note the command lines of all that runs below us while a server is asked."""
    respond: Callable[[Seen], Answer] = server.answer

    def answer(seen: Seen) -> Answer:
        for process in psutil.Process().children(recursive=True):
            try:
                arguments.extend(process.cmdline())
            except psutil.NoSuchProcess:
                continue
        return respond(seen)

    server.answer = answer


@pytest.mark.parametrize("mode", ["layered", "isolated"])
def test_a_token_reaches_the_install_only(
    machine: Machine, index: WebServer, tmp_path: Path, mode: str
) -> None:
    arguments: list[str] = []
    watch(index, arguments)
    cache = machine.cache(UV_INDEX_PRIVATE_PASSWORD=TOKEN)

    environment = cache.prepare(machine.bundle("seir"), mode)

    assert run_in(environment, "import seir; print(seir.VERSION)") == "1.0"
    assert any("install" in word for word in arguments)
    assert not [word for word in arguments if TOKEN in word]
    assert_not_written(tmp_path)


def test_a_token_may_lie_in_a_file_as_secrets_do(
    machine: Machine, index: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD_FILE", str(secret))

    assert machine.cache().prepare(machine.bundle("seir"), "layered").paths
    secret.unlink()
    assert_not_written(tmp_path)
    with pytest.raises(SecretError):
        machine.cache().prepare(machine.bundle("seir>0"), "layered")


def test_a_token_may_be_one_of_the_environments_secrets(
    machine: Machine, index: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("MODELOPS_SECRETS_DIR", str(secrets))
    (secrets / "UV_INDEX_PRIVATE_PASSWORD").write_text(TOKEN + "x")
    (secrets / "another").write_bytes(b"\xff")
    with pytest.raises(BundleError):
        machine.cache().prepare(machine.bundle("seir"), "layered")

    # The next install sees a change.
    (secrets / "UV_INDEX_PRIVATE_PASSWORD").write_text(f"{TOKEN}\n")
    environment = machine.cache().prepare(machine.bundle("seir"), "layered")

    assert run_in(environment, "import seir; print(seir.VERSION)") == "1.0"
    shutil.rmtree(secrets)
    assert_not_written(tmp_path)


def test_a_bundle_may_name_the_index_and_the_worker_has_the_token(
    machine: Machine, index: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.delenv("UV_NO_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    bundle = machine.bundle()
    (bundle / "pyproject.toml").write_text(
        '[project]\nname = "model"\nversion = "1"\ndependencies = ["seir"]\n'
        f'[[tool.uv.index]]\nname = "private"\nurl = "{index.url}/simple/"\ndefault = true\n'
    )
    cache = machine.cache(UV_INDEX_PRIVATE_PASSWORD=TOKEN)

    for mode in ("layered", "isolated"):
        environment = cache.prepare(bundle, mode)
        assert run_in(environment, "import seir; print(seir.VERSION)") == "1.0"
    assert_not_written(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"UV_INDEX_PRIVATE_PASSWORD": TOKEN + "x"},
        {"UV_DEFAULT_INDEX": "http://reader:{token}x@{host}/simple/"},
        {"UV_DEFAULT_INDEX": "http://{token}x@{host}/simple/"},
        {"UV_FIND_LINKS": "http://reader:{token}@{host}/{token}/absent.html"},
    ],
)
def test_no_message_has_a_token(
    machine: Machine, index: WebServer, tmp_path: Path, settings: dict[str, str]
) -> None:
    filled = {n: v.format(token=TOKEN, host=index.host) for n, v in settings.items()}
    cache = EnvironmentCache(machine.root, index=filled)

    with pytest.raises(BundleError) as caught:
        cache.prepare(machine.bundle("seir"), "layered")

    assert TOKEN not in str(caught.value)
    assert_not_written(tmp_path)


def test_a_git_hosts_token_reaches_git_only(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[project]\nname = "seir"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    # A build backend of its own, since nothing can be fetched.
    wheel = machine.wheel("seir", "1.0")
    (source / "wheel.bin").write_bytes(wheel.read_bytes())
    wheel.unlink()
    (source / "backend.py").write_text(
        "import shutil\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        f"    shutil.copy('wheel.bin', folder + '/{wheel.name}')\n"
        f"    return '{wheel.name}'\n"
    )
    _git(source, "init", "--quiet", "--initial-branch", "main")
    _git(source, "add", "--all")
    _git(source, "commit", "--quiet", "--message", "a package")
    _git(source, "update-server-info")
    wanted = f"Basic {base64.b64encode(f'reader:{TOKEN}'.encode()).decode()}"

    def answer(seen: Seen) -> Answer:
        if seen.authorization != wanted:
            return 401, {"WWW-Authenticate": 'Basic realm="git"'}, b""
        path = source / ".git" / seen.path.removeprefix("/seir.git/")
        return (200, {}, path.read_bytes()) if path.is_file() else (404, {}, b"")

    with serving(answer) as server:
        arguments: list[str] = []
        watch(server, arguments)
        monkeypatch.delenv("UV_OFFLINE")
        # Nothing but the host of the repository is asked.
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/simple/")
        bundle = machine.bundle(f"seir @ git+{server.url}/seir.git")
        login = f"http://reader:{TOKEN}@{server.host}"
        environment = machine.cache(MODELOPS_GIT_CREDENTIALS=login).prepare(bundle, "layered")

    assert run_in(environment, "import seir; print(seir.VERSION)") == "1.0"
    assert any("git" in word for word in arguments)
    assert not [word for word in arguments if TOKEN in word]
    assert_not_written(tmp_path)


def test_what_is_no_login_is_said_without_it(machine: Machine) -> None:
    cache = machine.cache(MODELOPS_GIT_CREDENTIALS=TOKEN)

    with pytest.raises(SecretError, match="Line 1") as caught:
        cache.prepare(machine.bundle("seir"), "layered")

    assert TOKEN not in str(caught.value)


def _git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)
