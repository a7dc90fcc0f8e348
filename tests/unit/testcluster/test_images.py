"""Archives that containerd and skopeo take: an OCI image layout in a tar file."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from testcluster.images import Image, write_archive


@pytest.fixture
def archive(tmp_path: Path) -> tarfile.TarFile:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    image = Image(
        "modelops.test/tool:7",
        {"bin/tool": program},
        ["/bin/tool"],
        texts={"etc/passwd": "root:x:0:0::/:/bin/sh\n"},
        links={"bin/other": "tool"},
    )
    return tarfile.open(write_archive(image, tmp_path / "image.tar"))


def read(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None
    return found.read()


def described(archive: tarfile.TarFile, descriptor: dict[str, object]) -> bytes:
    digest = str(descriptor["digest"])
    content = read(archive, f"blobs/{digest.replace(':', '/')}")
    assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert descriptor["size"] == len(content)
    return content


def test_every_blob_is_what_its_descriptor_says(archive: tarfile.TarFile) -> None:
    assert json.loads(read(archive, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    [entry] = json.loads(read(archive, "index.json"))["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "modelops.test/tool:7"
    manifest = json.loads(described(archive, entry))
    config = json.loads(described(archive, manifest["config"]))
    layer = described(archive, manifest["layers"][0])
    assert config["config"]["Cmd"] == ["/bin/tool"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_the_layer_holds_programs_texts_links_and_a_folder_for_all(
    archive: tarfile.TarFile,
) -> None:
    [entry] = json.loads(read(archive, "index.json"))["manifests"]
    manifest = json.loads(described(archive, entry))
    with tarfile.open(fileobj=io.BytesIO(described(archive, manifest["layers"][0]))) as layer:
        assert layer.getmember("bin/tool").mode == 0o755
        assert read(layer, "bin/tool") == b"\x7fELF"
        assert layer.getmember("bin/other").linkname == "tool"
        assert layer.getmember("tmp").mode == 0o1777
        assert read(layer, "etc/passwd").startswith(b"root:")
