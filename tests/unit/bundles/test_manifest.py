import json

import pytest

from modelops.bundles.manifest import BundleManifest, read_manifest
from modelops.core.errors import BundleFileError

GOOD = {"name": "sir", "version": "1.0.0", "entrypoint": "model:simulate"}


def test_reads_a_manifest(make_bundle):
    manifest = read_manifest(make_bundle())
    assert manifest == BundleManifest(name="sir", version="1.0.0", entrypoint="model:simulate")


def test_a_missing_manifest_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleFileError) as caught:
        read_manifest(tmp_path)
    assert "mops bundle init" in caught.value.hint


def test_broken_json_is_located(make_bundle):
    root = make_bundle({"manifest.json": '{"name": "sir",\n  "version" "1"}'})
    with pytest.raises(BundleFileError, match=r"manifest\.json:2:13: this isn't JSON"):
        read_manifest(root)


def test_all_that_is_wrong_is_said_at_once(make_bundle):
    content = {"name": "SIR", "entry_point": "model:simulate", "version": 1}
    root = make_bundle({"manifest.json": json.dumps(content)})
    with pytest.raises(BundleFileError) as caught:
        read_manifest(root)
    message = caught.value.message
    assert "'SIR' isn't a repository" in message
    assert "version is 1" in message
    assert "entrypoint is missing" in message
    assert "entry_point isn't known. Did you mean `entrypoint`?" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "team/sir"),
        ("name", "../sir"),
        ("name", "a" * 129),
        ("version", ""),
        ("version", "1.0 beta"),
        ("version", ".1"),
        ("entrypoint", "model.simulate"),
        ("entrypoint", "my-model:simulate"),
    ],
)
def test_values_are_checked(make_bundle, key, value):
    root = make_bundle({"manifest.json": json.dumps({**GOOD, key: value})})
    with pytest.raises(BundleFileError, match=key):
        read_manifest(root)


@pytest.mark.parametrize(
    "text", ["[]", "null", '{"name": "a", "name": "b"}', b"\xff\xfe", "[" * 100_000]
)
def test_what_is_no_object_is_refused(make_bundle, text):
    with pytest.raises(BundleFileError, match=r"manifest\.json"):
        read_manifest(make_bundle({"manifest.json": text}))
