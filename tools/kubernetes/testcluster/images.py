"""Images that need no public registry: static programs from this machine, as OCI archives."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from testcluster.programs import BUSYBOX

BUSYBOX_IMAGE = "modelops.test/busybox:1"
COREDNS_IMAGE = "modelops.test/coredns:1"
LOCAL_PATH_IMAGE = "modelops.test/local-path-provisioner:1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image of one layer.

    Attributes:
        name: with its tag, under which containerd knows it.
        programs: path in the image → program on this machine.
        command: what a container runs unless told otherwise.
        texts: path in the image → text of a file.
        links: path in the image → where the symbolic link leads.
        folders: which anyone may write.
    """

    name: str
    programs: dict[str, Path]
    command: list[str]
    texts: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ("tmp",)


def busybox_image() -> Image:
    """Return the image of simple test pods, which pods' sandboxes use too: busybox, sleeping.

    It reaps what it adopts, as the first process of a pod should: a shell that waits does.
    """
    applets = subprocess.run(
        [BUSYBOX, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    return Image(
        BUSYBOX_IMAGE,
        {"bin/busybox": BUSYBOX},
        ["/bin/sh", "-c", "sleep 2147483647 & wait"],
        texts={
            "etc/passwd": "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
            "etc/group": "root:x:0:\nuser:x:1000:\n",
        },
        links={f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"},
    )


def write_archive(image: Image, path: Path) -> Path:
    """Write an image as an OCI archive (image-spec, "image layout"), for ctr and skopeo."""
    layer = _layer(image)
    config = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Cmd": image.command, "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = {_digest(layer): layer}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _add(blobs, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": _digest(layer),
                "size": len(layer),
            }
        ],
    }
    described = _add(blobs, manifest, "application/vnd.oci.image.manifest.v1+json")
    described["annotations"] = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
    }
    index = {"schemaVersion": 2, "manifests": [described]}
    with tarfile.open(path, "w") as archive:
        _put(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _put(archive, "index.json", json.dumps(index).encode())
        for digest, content in blobs.items():
            _put(archive, f"blobs/sha256/{digest.removeprefix('sha256:')}", content)
    return path


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for name in sorted({"dev", "etc", "proc", "run", "sys", *image.folders}):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            folder.mode = 0o1777 if name in image.folders else 0o755
            layer.addfile(folder)
        for name, program in image.programs.items():
            _put(layer, name, program.read_bytes(), 0o755)
        for name, text in image.texts.items():
            _put(layer, name, text.encode())
        for name, target in image.links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            layer.addfile(link)
    return buffer.getvalue()


def _put(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _add(blobs: dict[str, bytes], document: object, media_type: str) -> dict[str, object]:
    content = json.dumps(document).encode()
    blobs[_digest(content)] = content
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
