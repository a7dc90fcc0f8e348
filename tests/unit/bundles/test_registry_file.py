import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.registry_file import (
    REGISTRY_FILE,
    BundleRegistry,
    RegisteredFunction,
    read_registry,
    write_registry,
)
from modelops.core.errors import BundleFileError

names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
functions = st.builds(
    lambda module, name: RegisteredFunction(path=f"{module}.py", entrypoint=f"{module}:{name}"),
    names.map(lambda name: f"m{name}"),
    names.map(lambda name: f"f{name}"),
)
ids = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1)
entries = st.dictionaries(ids.filter(lambda text: text == text.strip()), functions, max_size=5)


@given(models=entries, targets=entries)
def test_what_is_written_is_read_and_does_not_depend_on_order(models, targets):
    registry = BundleRegistry(models=models, targets=targets)
    turned = BundleRegistry(
        models=dict(reversed(models.items())), targets=dict(reversed(targets.items()))
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        first = write_registry(root, registry).read_bytes()
        assert read_registry(root) == registry
        assert write_registry(root, turned).read_bytes() == first
        assert [path.name for path in (root / REGISTRY_FILE).parent.iterdir()] == ["registry.yaml"]


def test_no_file_is_no_registry(make_bundle):
    assert read_registry(make_bundle()) is None


@pytest.mark.parametrize("text", ["", "models:\ntargets: {}\n", "# nothing\n"])
def test_an_empty_file_is_an_empty_registry(make_bundle, text):
    assert read_registry(make_bundle({REGISTRY_FILE: text})) == BundleRegistry()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [\n", "registry.yaml:2:1: this isn't YAML"),
        ("models: {a: {path: m.py, entrypoint: m:f}, a: {}}", "1:44: .* 'a' is there twice"),
        ("models: {a: {path: m.py}}", "models.a.entrypoint is missing"),
        ("models: {a: {path: ../m.py, entrypoint: m:f}}", "isn't a path inside the bundle"),
        ("models: {a: {path: /m.py, entrypoint: m:f}}", "isn't a path inside the bundle"),
        ("models: {a: {path: m.py, entrypoint: m.f}}", "isn't module:function"),
        ("models: {1: {path: m.py, entrypoint: m:f}}", "models.1"),
        ("models: {' a': {path: m.py, entrypoint: m:f}}", "can't be an id"),
        ("model: {}", "model isn't known"),
        ("[]", "the file"),
        ("!!python/object:os.system {}", "isn't YAML"),
    ],
)
def test_what_is_wrong_is_said(make_bundle, text, message):
    with pytest.raises(BundleFileError, match=message):
        read_registry(make_bundle({REGISTRY_FILE: text}))
