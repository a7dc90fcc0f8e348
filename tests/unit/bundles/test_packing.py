import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import PurePosixPath

import pytest

from modelops.bundles import packing
from modelops.bundles.artifact import FILE_MEDIA_TYPE, MODE, TITLE, ImageManifest, digest_of
from modelops.bundles.packing import pack
from modelops.core.errors import BundleFileError

# Computed once. Another Python, zlib, file system or user must come to the same.
GOLDEN = "sha256:0740457a9fc9a0f8c5054a013fbd2077434fa510790406ec14a8237bc91aaed5"

LARGE = packing.OWN_LAYER_BYTES + 1


@pytest.fixture
def golden_bundle(make_bundle):
    return make_bundle(
        {
            "run.sh": "#!/bin/sh\n",
            "daten/größe.csv": "1\n",
            f"{'long/' * 60}name.txt": "x" * 70_000,
            f"{'n' * 120}.txt": "",
        }
    )


def test_the_digest_is_what_it_always_was(golden_bundle):
    (golden_bundle / "run.sh").chmod(0o755)
    assert pack(golden_bundle).digest == GOLDEN


def test_time_owner_umask_and_order_do_not_change_the_digest(make_bundle):
    files = {f"{name}.txt": name for name in "abcdef"}
    first = make_bundle(files, "first")
    umask = os.umask(0o077)
    try:
        second = make_bundle(dict(reversed(files.items())), "second")
    finally:
        os.umask(umask)
    for path in second.rglob("*"):
        os.utime(path, (1, 1))
    (second / "empty").mkdir()
    assert pack(first).digest == pack(second).digest


@pytest.mark.parametrize(
    "change",
    [
        {"model.py": "def simulate(params, seed): ..."},
        {"new.txt": ""},
        {"data/observed.csv": None},
    ],
)
def test_content_and_names_change_the_digest(make_bundle, change):
    assert pack(make_bundle({}, "a")).digest != pack(make_bundle(change, "b")).digest


def test_execution_changes_the_digest(make_bundle):
    root = make_bundle()
    before = pack(root).digest
    (root / "model.py").chmod(0o755)
    assert pack(root).digest != before


@pytest.mark.integration
def test_another_process_comes_to_the_same_digest(make_bundle):
    root = make_bundle()
    code = "from modelops.bundles.packing import pack; from pathlib import Path\n"
    code += f"print(pack(Path({str(root)!r})).digest)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == pack(root).digest


def test_the_manifest_names_every_blob(make_bundle):
    packed = pack(make_bundle())
    manifest = ImageManifest.parse(packed.manifest)
    assert [manifest.config, *manifest.layers] == [blob.descriptor for blob in packed.blobs]
    for blob in packed.blobs:
        data = b"".join(blob.chunks())
        assert (digest_of(data), len(data)) == (blob.descriptor.digest, blob.descriptor.size)
    assert packed.size == len(packed.manifest) + sum(b.descriptor.size for b in packed.blobs)


def test_the_config_says_what_the_bundle_has(make_bundle):
    packed = pack(make_bundle())
    assert json.loads(b"".join(packed.blobs[0].chunks())) == {
        "name": "sir",
        "version": "1.0.0",
        "entrypoint": "model:simulate",
        "registry": {
            "models": {"simulate": {"path": "model.py", "entrypoint": "model:simulate"}},
            "targets": {"prevalence": {"path": "targets.py", "entrypoint": "targets:prevalence"}},
        },
    }


def test_a_large_file_is_a_layer_of_its_own(make_bundle):
    root = make_bundle({"data/a.bin": bytes(LARGE), "data/b.bin": b"1" * LARGE})
    (root / "data/b.bin").chmod(0o755)
    layers = ImageManifest.parse(pack(root).manifest).layers[1:]
    assert [layer.annotations for layer in layers] == [
        {TITLE: "sir/data/a.bin"},
        {TITLE: "sir/data/b.bin", MODE: "0755"},
    ]
    assert [(layer.media_type, layer.size) for layer in layers] == [(FILE_MEDIA_TYPE, LARGE)] * 2
    before = {layer.digest for layer in layers}
    (root / "model.py").write_text("def simulate(params, seed): return {}")
    assert {layer.digest for layer in ImageManifest.parse(pack(root).manifest).layers[1:]} == before


@pytest.mark.parametrize("content", [b"longer than before", b""])
def test_a_file_that_changes_meanwhile_is_an_error(make_bundle, content):
    root = make_bundle()
    packed = pack(root)
    (root / "model.py").write_bytes(content)
    with pytest.raises(BundleFileError, match=r"model\.py was changed"):
        list(packed.blobs[1].chunks())


def test_a_manifest_that_is_ignored_is_an_error(make_bundle):
    with pytest.raises(BundleFileError, match=r"manifest\.json isn't packed"):
        pack(make_bundle({".mopsignore": "*.json\n"}))


def test_small_files_are_in_several_archives(make_bundle):
    files = {f"data/part{index % 7}/{index:02}.csv": f"{index}\n" * 20_000 for index in range(60)}
    root = make_bundle({**files, "data/large.bin": bytes(LARGE)})
    first, *archives = (layer for layer in pack(root).blobs[1:-1])
    assert len(archives) >= 2
    titles = [blob.descriptor.annotations[TITLE] for blob in (first, *archives)]
    assert {str(PurePosixPath(title)) for title in titles} == {"sir"}
    assert len(set(titles)) == len(titles)
    found = {}
    for blob in (first, *archives):
        with tarfile.open(fileobj=io.BytesIO(b"".join(blob.chunks()))) as archive:
            members = archive.getmembers()
            for place, member in enumerate(members):
                # Each archive has the directories of its own files, before them.
                above = {m.name for m in members[:place] if m.isdir()}
                assert member.name == "sir" or str(PurePosixPath(member.name).parent) in above
                if member.isfile():
                    assert member.name not in found
                    found[member.name] = archive.extractfile(member).read()
    assert found == {
        f"sir/{path.relative_to(root)}": path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "large.bin"
    }


def test_one_small_file_changes_one_archive(make_bundle):
    files = {f"data/{index:02}.csv": f"{index}\n" * 20_000 for index in range(60)}
    root = make_bundle(files)
    before = {blob.descriptor.digest for blob in pack(root).blobs}
    (root / "data/30.csv").write_text("changed\n" * 7000)
    after = {blob.descriptor.digest for blob in pack(root).blobs}
    assert len(before) >= 4
    assert len(after - before) == 1
