"""`mops bundle` with a real registry and with a directory of layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.contracts import BundleRef
from modelops.worker.worker_bundles import WorkerBundles
from unit.cli.bundle_commands import Project, project_fixture

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture", "project_fixture"]


def test_a_bundle_goes_its_way_by_commands(
    project: Project,
    oci_registry: RegistryProcess,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    host = f"oci://{oci_registry.host}"
    layout = f"oci-layout:{project.registry}"
    digests = []
    for address in (f"{host}/team", layout):
        monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", address)
        assert project.bundle("list", "--json").json == []
        assert project.bundle("list", "mine").code == 4
        assert project.bundle("pull", "mine:0.1.0", "../none").code == 4
        assert project.bundle("status", "--json").json["push"]["state"] == "never"
        pushed = project.bundle("push", "--json").json
        digests.append(pushed["digest"])
        status = project.bundle("status", "--json", "--exit-code")
        assert (status.code, status.json["push"]["state"]) == (0, "up_to_date")
        (listed,) = project.bundle("list", "--json", "--sizes").json
        assert listed["repository"] == "mine"
        assert [item["tag"] for item in listed["bundles"]] == ["0.1.0"]
        assert listed["bundles"][0]["size"] > 1000
    assert len(set(digests)) == 1
    digest = digests[0]
    monkeypatch.delenv("MODELOPS_BUNDLE_REGISTRY")
    # Where a reference says where it is, no registry of the environment is needed.
    for number, place in enumerate((f"{host}/team", layout)):
        for mark in (":0.1.0", f"@{digest}"):
            done = project.bundle(
                "pull", f"{place}/mine{mark}", f"../{number}/{mark[:2]}", "--json"
            )
            assert done.code == 0
            assert done.json["reference"] == f"{place}/mine@{digest}"
            copied = Path(done.json["path"])
            assert (copied / "model.py").read_bytes() == Path("model.py").read_bytes()
        # Nor does a worker need one.
        bundles = WorkerBundles(tmp_path / f"cache-{number}", None)
        with bundles.open(BundleRef.parse(f"{place}/mine@{digest}")) as bundle:
            assert (bundle.folder / "model.py").read_bytes() == Path("model.py").read_bytes()
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", f"{host}/copies")
    again = project.bundle("push", str(copied), "--json").json
    assert again == {"reference": f"mine@{digest}", "digest": digest}
