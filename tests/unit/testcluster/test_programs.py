"""Whoever lacks something for a cluster is told what, and how to get it."""

from pathlib import Path

import pytest

from testcluster import Cluster, ClusterError, programs

_PINNED = {"kube-apiserver": "kubernetes-v1.34.", "etcd": "etcd-v3.", "coredns": "coredns-v1."}


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)


def test_other_users_are_told_that_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in programs.what_is_missing()
    with pytest.raises(ClusterError, match="needs root"):
        Cluster("some-name").start()


@pytest.mark.usefixtures("as_root")
def test_missing_packages_are_named_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "PLUGINS", tmp_path)
    monkeypatch.setattr(programs, "BUSYBOX", tmp_path / "busybox")
    missing = programs.what_is_missing()
    assert "apt-get install --no-install-recommends" in missing
    installed = missing.rpartition("recommends ")[2].split()
    assert installed == sorted(
        {*programs.PACKAGES.values(), "busybox-static", "containernetworking-plugins"}
    )


@pytest.mark.usefixtures("as_root")
def test_unbuilt_programs_are_named_with_the_target_that_builds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (*programs.PACKAGES, "ldd", "bridge"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(programs, "PLUGINS", tmp_path)
    monkeypatch.setattr(programs, "BUSYBOX", tmp_path / "ldd")
    monkeypatch.setenv("MODELOPS_TOOLS", str(tmp_path / "tools"))
    missing = programs.what_is_missing()
    assert "kube-apiserver" in missing
    assert "make k8s-tools" in missing


@pytest.mark.parametrize(("program", "folder"), _PINNED.items())
def test_programs_are_those_of_the_pinned_versions(program: str, folder: str) -> None:
    paths = {path.name: path for path in programs.built_programs().all()}
    assert paths[program].parent.name.startswith(folder)


@pytest.mark.parametrize("name", ["", "Upper", "9lives", "-x", "x-", "a/b", "a" * 41, "a.b"])
def test_names_that_cannot_be_a_namespace_and_a_folder_are_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="can't name a cluster"):
        Cluster(name)
