"""Which Kubernetes plugin tests give the engine, and the stand-in as the engine sees it."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import grpc
import psutil
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2_grpc

from kubernetes_provider.launcher import PROGRAM, install_stand_in, path_with_plugin

_NO_ENGINE = "127.0.0.1:1"


def test_a_plugin_that_is_there_is_used(tmp_path: Path) -> None:
    real = tmp_path / PROGRAM
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)

    assert path_with_plugin(tmp_path / "other", str(tmp_path)) == str(tmp_path)


def test_otherwise_the_stand_in_comes_last(tmp_path: Path) -> None:
    path = path_with_plugin(tmp_path, "/nowhere")

    assert path == f"/nowhere{os.pathsep}{tmp_path}"
    assert os.access(tmp_path / PROGRAM, os.X_OK)


def test_the_stand_in_has_the_sdks_version(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    with subprocess.Popen(
        [install_stand_in(folder), _NO_ENGINE], stdout=subprocess.PIPE, text=True
    ) as plugin:
        try:
            assert plugin.stdout is not None
            port = int(plugin.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                found = stub.GetPluginInfo(Empty(), timeout=20)
        finally:
            plugin.kill()

    assert found.version == version("pulumi-kubernetes")


def test_the_stand_in_ends_with_its_engine(tmp_path: Path) -> None:
    start = "import subprocess, sys; subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL)"
    engine = subprocess.Popen(
        [sys.executable, "-c", start, install_stand_in(tmp_path), _NO_ENGINE],
        stdout=subprocess.PIPE,
        text=True,
    )
    with engine:
        assert engine.stdout is not None
        engine.stdout.readline()
        (plugin,) = psutil.Process(engine.pid).children()
        engine.kill()

    psutil.wait_procs([plugin], timeout=20)
    assert not plugin.is_running()
