"""Signatures between us and cosign v3, on the reference registry, with no way out to others."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.bundles.packing import pack
from modelops.bundles.registry_store import RegistryStore
from modelops.bundles.signatures import sign_bundle, verify_bundle
from modelops.bundles.signing_keys import SigningKey, read_public_key
from modelops.bundles.template import create_bundle
from modelops.core.errors import SignatureError

pytestmark = pytest.mark.integration

__all__ = ["oci_registry_fixture"]

VERIFY = ("verify", "--insecure-ignore-tlog", "--allow-http-registry")
SIGN = ("sign", "--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry")
NOWHERE = "http://127.0.0.1:9"


class Cosign:
    """The program, in a folder of its own; whatever it would ask of another host fails."""

    def __init__(self, folder: Path) -> None:
        program = os.environ.get("COSIGN", "")
        if not os.access(program, os.X_OK):
            pytest.skip("cosign takes minutes to build: run these tests with `make test-cosign`")
        self._program = program
        self.folder = folder

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "COSIGN_PASSWORD": "secret",
            # Loopback isn't asked for through a proxy.
            "HTTPS_PROXY": NOWHERE,
            "HTTP_PROXY": NOWHERE,
        }
        return subprocess.run(
            [self._program, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def cosign(tmp_path: Path) -> Cosign:
    folder = tmp_path / "cosign"
    folder.mkdir()
    return Cosign(folder)


@pytest.fixture
def store(cosign: Cosign, oci_registry: RegistryProcess) -> RegistryStore:
    return RegistryStore(oci_registry.host)


def test_cosign_takes_our_signatures(
    cosign: Cosign, store: RegistryStore, oci_registry: RegistryProcess, tmp_path: Path
) -> None:
    create_bundle(tmp_path / "sir", "sir")
    ref = store.push("team/sir", pack(tmp_path / "sir"))
    image = f"{oci_registry.host}/{ref}"
    key, other = SigningKey.generate(), SigningKey.generate()
    for name, pair in (("ours", key), ("other", other)):
        pair.write_pair(cosign.folder / f"{name}.pem", cosign.folder / f"{name}.pub")
    unsigned = cosign(*VERIFY, "--key", "ours.pub", image)
    assert unsigned.returncode != 0

    sign_bundle(store, ref, key)
    verified = cosign(*VERIFY, "--key", "ours.pub", image)
    assert verified.returncode == 0, verified.stderr
    (claim,) = json.loads(verified.stdout)
    assert claim["critical"]["image"]["docker-manifest-digest"] == ref.digest
    refused = cosign(*VERIFY, "--key", "other.pub", image)
    assert refused.returncode == 1
    assert "accepted signatures do not match" in refused.stderr


def test_we_take_what_cosign_signs_with_its_own_key_pair(
    cosign: Cosign, store: RegistryStore, oci_registry: RegistryProcess, tmp_path: Path
) -> None:
    create_bundle(tmp_path / "sir", "sir")
    ref = store.push("team/sir", pack(tmp_path / "sir"))
    ours = SigningKey.generate()
    sign_bundle(store, ref, ours)
    made = cosign("generate-key-pair")
    assert made.returncode == 0, made.stderr
    key = read_public_key(cosign.folder / "cosign.pub")
    assert key.kind == "ECDSA P-256"
    with pytest.raises(SignatureError, match="another key made it"):
        verify_bundle(store, ref, key)
    signed = cosign(*SIGN, "--key", "cosign.key", f"{oci_registry.host}/{ref}")
    assert signed.returncode == 0, signed.stderr
    verify_bundle(store, ref, key)
    # Nor did it drop ours from the list.
    verify_bundle(store, ref, ours.public)
