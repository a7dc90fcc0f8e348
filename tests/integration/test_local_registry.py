"""`registry: {class: distribution}`: a real registry with password and TLS, healed, removed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
import yaml

from conftest import command_of, processes_below
from integration.registry_process import registry_binary
from modelops.bundles.access import RegistryAccess
from modelops.bundles.stores import open_store
from modelops.contracts import BindingOutputs
from modelops.core.errors import BundleError
from modelops.providers.local.plugin import issuing

if TYPE_CHECKING:
    from integration.conftest import Mops

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(400)]


def write_registry(mops: Mops, **registry: Any) -> None:
    path = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(path.read_text())
    spec["spec"]["registry"] = {"class": "distribution", **registry}
    path.write_text(yaml.safe_dump(spec))


@pytest.fixture
def registry(mops: Mops) -> Mops:
    registry_binary()
    write_registry(mops, auth="htpasswd", tls=True)
    return mops


def bindings_of(mops: Mops) -> BindingOutputs:
    return BindingOutputs.from_json(mops.json("registry", "outputs"))


def pid_of(mops: Mops) -> int:
    return int(mops.json("registry", "status")["resources"]["registry"]["pid"])


def get(url: str, ca_file: str, authorization: str = "") -> int:
    """Return the status of a request that goes past our own client."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": authorization} if authorization else {}
        return session.get(url, headers=headers, verify=ca_file, timeout=10).status_code


def test_a_registry_with_password_and_tls(registry: Mops, tmp_path: Path) -> None:
    mops = registry
    mops("registry", "up")
    pushed = mops.json("bundle", "push")["reference"]
    bindings = bindings_of(mops)
    access = RegistryAccess.from_bindings(bindings)
    password = Path(access.password_file).read_text()

    asked = f"https://{access.url}/v2/"
    basic = base64.b64encode(f"modelops:{password}".encode()).decode()
    assert get(asked, access.ca_file) == 401
    assert get(asked, access.ca_file, "Basic bW9kZWxvcHM6d3Jvbmc=") == 401
    assert get(asked, access.ca_file, f"Basic {basic}") == 200
    with pytest.raises(BundleError, match="asks for a password"):
        open_store(RegistryAccess(access.url, ca_file=access.ca_file)).list_repositories()
    other = tmp_path / "other.crt"
    other.write_bytes(issuing.issue_authority("another", 10).certificate)
    with pytest.raises(BundleError, match="certificate verify failed"):
        open_store(
            RegistryAccess(access.url, access.username, access.password_file, str(other))
        ).list_repositories()

    for said in (
        mops("registry", "status").stdout,
        mops("registry", "outputs").stdout,
        *(path.read_text() for path in (mops.home / "bundle-env").iterdir()),
        *(path.read_text() for path in (mops.home / "local" / "dev" / "logs").iterdir()),
        *(path.read_text(errors="replace") for path in (mops.home / "pulumi").rglob("*.json")),
        " ".join(psutil.Process(pid_of(mops)).cmdline()),
        str(psutil.Process(pid_of(mops)).environ()),
    ):
        assert password not in said

    assert set(mops.json("registry", "up")["changes"]) == {"same"}
    (part,) = mops.json("registry", "status", "--exit-code")["parts"]
    assert (part["part"], part["state"]) == ("registry", "healthy")
    assert mops("registry", "logs").stdout
    killed = psutil.Process(pid_of(mops))
    killed.kill()
    killed.wait(30)
    assert "dead" in mops("registry", "status", "--exit-code", expect=3).stdout
    mops("bundle", "push", expect=1)
    mops("registry", "up")
    assert pid_of(mops) != killed.pid
    assert bindings_of(mops) == bindings
    store = open_store(access)
    assert store.list_repositories() == ["line"]
    assert str(store.list_bundles("line")[0].ref) == pushed

    # Without the registry's stack the bundles stay; user, password and CA are new then.
    mops("registry", "down")
    assert processes_below(mops.home.resolve()) == []
    assert not Path(access.password_file).exists()
    mops("registry", "up")
    again = RegistryAccess.from_bindings(bindings_of(mops))
    assert again.password() != password
    assert open_store(again).list_repositories() == ["line"]

    mops("down", "--delete-data", "--yes")
    assert processes_below(mops.home.resolve()) == []
    assert not (mops.home / "local" / "dev").exists()
    assert not (mops.home / "secrets").exists()
    assert list(mops.home.glob("bundle-env/*")) == []


def test_a_run_takes_its_bundle_from_our_registry_and_from_one_that_is_there(
    registry: Mops,
) -> None:
    mops = registry
    mops("registry", "up")
    mops("infra", "up")
    mops("workspace", "up")
    mops("adaptive", "up")
    assert mops.json("adaptive", "list")[0]["state"] == "finished"

    # For another environment it's one that is there already.
    access = RegistryAccess.from_bindings(bindings_of(mops))
    mops.environment.update(
        MODELOPS_BUNDLE_REGISTRY_USERNAME=access.username,
        MODELOPS_BUNDLE_REGISTRY_PASSWORD_FILE=access.password_file,
        MODELOPS_BUNDLE_REGISTRY_CA_FILE=access.ca_file,
        # Of no use with a CA; but it has to arrive.
        MODELOPS_BUNDLE_INSECURE="true",
    )
    own_spec = (mops.folder / "runtime.yaml").read_text()
    try:
        mops.write_spec(env="other")
        write_registry(mops, **{"class": "external", "url": access.url, "prefix": "team"})
        mops("registry", "up")
        mops("infra", "up")
        mops("workspace", "up")
        mops("adaptive", "up")
        assert mops.json("adaptive", "list")[0]["state"] == "finished"
        handed_on = [
            process.environ()
            for process in processes_below(mops.home.resolve())
            if "modelops.worker.preload" in command_of(process)
        ]
        # Those of the other environment use its own registry, and are told nothing of this.
        there = [given for given in handed_on if "/other/" in str(given)]
        assert there
        assert {given["MODELOPS_BUNDLE_INSECURE"] for given in there} == {"true"}
        mops("down", "--delete-data", "--yes")
        assert open_store(access).list_repositories() == ["line", "team/line"]
    finally:
        mops("down", "--delete-data", "--yes")
        (mops.folder / "runtime.yaml").write_text(own_spec)


def test_a_registry_for_everyone_speaks_plain_http(mops: Mops) -> None:
    registry_binary()
    write_registry(mops)
    mops("registry", "up")
    mops("bundle", "push")
    access = RegistryAccess.from_bindings(bindings_of(mops))
    assert access == RegistryAccess(access.url)
    assert get(f"http://{access.url}/v2/line/tags/list", "") == 200
    assert not (mops.home / "secrets").exists()


def test_without_the_program_the_error_says_how_to_get_it(registry: Mops, tmp_path: Path) -> None:
    # The engine is on PATH, so that only the registry is missing.
    from modelops.core.automation import ENGINE_VERSION
    from modelops.core.tools import tool_cache

    engine = tool_cache() / f"pulumi-v{ENGINE_VERSION}"
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / engine.name).symlink_to(engine)
    registry.environment["MODELOPS_TOOLS"] = str(tmp_path / "tools")
    refused = registry("registry", "up", expect=1)
    assert "make registry" in refused.stderr
    assert "Traceback" not in refused.stderr
