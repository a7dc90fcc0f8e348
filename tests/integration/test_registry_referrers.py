"""Referrers in the reference registry, which has no API for them, and what git says of a bundle."""

import datetime
import subprocess
import threading
from pathlib import Path

import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles.artifact import ARTIFACT_TYPE
from modelops.bundles.git import git_state
from modelops.bundles.packing import pack
from modelops.bundles.provenance import Provenance, read_provenance, write_provenance
from modelops.bundles.referrers import Referrer, find_referrers, subject_of
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.signatures import sign_bundle, verify_bundle
from modelops.bundles.signing_keys import SigningKey
from modelops.bundles.template import create_bundle
from modelops.contracts import BundleRef
from modelops.core.errors import BundleError

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture"]

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
KIND = "application/vnd.example.note"


@pytest.fixture
def store(oci_registry: RegistryProcess) -> RegistryStore:
    return RegistryStore(f"{oci_registry.host}/team")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    create_bundle(tmp_path / "sir", "sir")
    return tmp_path / "sir"


@pytest.fixture
def ref(store: RegistryStore, bundle: Path) -> BundleRef:
    return store.push("sir", pack(bundle))


def test_signature_and_provenance_beside_a_bundle(
    oci_registry: RegistryProcess, store: RegistryStore, ref: BundleRef, bundle: Path
) -> None:
    key = SigningKey.generate()
    assert write_provenance(store, ref, Provenance.of(bundle, "1.2.3", NOW))
    sign_bundle(store, ref, key)
    verify_bundle(store, ref, key.public)
    # By its whole name, as a spec's bundleRef writes it, it's the same bundle.
    whole = BundleRef.parse(f"oci://{oci_registry.host}/team/sir@{ref.digest}")
    verify_bundle(RegistryStore(oci_registry.host), whole, key.public)
    provenance = read_provenance(store, ref)
    assert provenance is not None
    assert (provenance.version, provenance.commit) == ("1.2.3", None)
    assert [item.ref for item in store.list_bundles("sir")] == [ref]
    assert [item.tag for item in store.list_bundles("sir")] == ["0.1.0"]


def test_writers_at_the_same_time_lose_nothing(
    oci_registry: RegistryProcess, store: RegistryStore, ref: BundleRef
) -> None:
    count = 4
    together = threading.Barrier(count)
    problems: list[BundleError] = []

    def write(number: int) -> None:
        own = RegistryStore(f"{oci_registry.host}/team")
        referrer = Referrer(KIND, subject_of(own, ref), b"%d" % number, "text/plain")
        together.wait()
        try:
            own.push_referrer(ref, referrer)
        except BundleError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    found = list(find_referrers(store, ref, KIND))
    assert len(found) == count
    assert all(item.manifest is not None for item in found)


def test_the_same_content_has_one_provenance_whoever_pushes_it(
    store: RegistryStore, ref: BundleRef, bundle: Path
) -> None:
    first, later = (Provenance.of(bundle, version, NOW) for version in ("1", "2"))
    assert write_provenance(store, ref, first)
    assert not write_provenance(store, ref, later)
    assert read_provenance(store, ref) == first
    assert len(store.list_referrers(ref)) == 1
    assert b"finishedOn" in first.statement(ref)
    assert ARTIFACT_TYPE.encode() in store.read_manifest(ref)


def git(folder: Path, *arguments: str) -> str:
    user = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *user, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_commit_and_whether_the_bundle_is_as_committed(bundle: Path) -> None:
    assert git_state(bundle) is None
    git(bundle.parent, "init", "--quiet")
    assert git_state(bundle) is None
    git(bundle.parent, "add", ".")
    git(bundle.parent, "commit", "--quiet", "--message", "first")
    git(bundle.parent, "config", "user.name", "Ada")
    git(bundle.parent, "config", "user.email", "ada@example.org")
    commit = git(bundle.parent, "rev-parse", "HEAD")
    made = Provenance.of(bundle, "1", NOW)
    assert (made.commit, made.is_dirty, made.author) == (commit, False, "Ada <ada@example.org>")
    # What lies beside the bundle doesn't make it another.
    (bundle.parent / "notes.txt").write_text("new")
    assert Provenance.of(bundle, "1", NOW) == made
    (bundle / "new.py").write_text("")
    assert Provenance.of(bundle, "1", NOW).is_dirty
    ref = BundleRef("sir", f"sha256:{'0' * 64}")
    assert Provenance.parse(made.statement(ref), ref) == made


def test_a_repository_cant_have_git_run_its_programs(bundle: Path, tmp_path: Path) -> None:
    git(bundle.parent, "init", "--quiet")
    git(bundle.parent, "add", ".")
    git(bundle.parent, "commit", "--quiet", "--message", "first")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    git(bundle.parent, "config", "core.fsmonitor", str(program))
    assert git_state(bundle) is not None
    assert not (tmp_path / "was-run").exists()


def test_without_git_there_is_an_author_all_the_same(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ada")
    made = Provenance.of(bundle, "1", NOW)
    assert (made.commit, made.is_dirty, made.author) == (None, None, "ada")
    assert made.time == NOW.replace(microsecond=0)
