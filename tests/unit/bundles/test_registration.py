import pytest

from modelops.bundles.registration import refresh, register, stale
from modelops.bundles.registry_file import RegisteredFunction, read_registry
from modelops.core.errors import BundleFileError


def test_registering_again_removes_the_stale_entries_of_the_file(make_bundle):
    root = make_bundle({"targets.py": "@target\ndef a(): ...\n@target\ndef b(): ..."})
    assert set(register(root, "targets", "targets.py").targets) == {"a", "b"}
    (root / "targets.py").write_text("@target\ndef c(): ...")
    assert set(register(root, "targets", "targets.py").targets) == {"c"}
    assert set(read_registry(root).targets) == {"c"}


def test_other_files_entries_stay(make_bundle):
    root = make_bundle({"more.py": "@target\ndef a(): ..."})
    register(root, "targets", "more.py")
    register(root, "models", "model.py", {"sir": "simulate"})
    registry = register(root, "targets", "targets.py")
    assert set(registry.targets) == {"a", "prevalence"}
    assert registry.models["sir"].entrypoint == "model:simulate"


def test_an_id_of_another_file_is_not_taken(make_bundle):
    root = make_bundle({"more.py": "@target\ndef prevalence(): ..."})
    register(root, "targets", "targets.py")
    with pytest.raises(BundleFileError, match="taken by targets:prevalence"):
        register(root, "targets", "more.py")


def test_what_is_not_there_is_not_registered(make_bundle):
    root = make_bundle()
    with pytest.raises(BundleFileError, match="no file"):
        register(root, "targets", "none.py")
    with pytest.raises(BundleFileError, match="has no target"):
        register(root, "targets", "model.py")
    with pytest.raises(BundleFileError, match="has no simulat"):
        register(root, "models", "model.py", {"sir": "simulat"})
    assert read_registry(root) is None


def test_refresh_keeps_named_functions_and_drops_stale_entries(make_bundle):
    root = make_bundle({"old.py": "@target\ndef old(): ...", "more.py": "def run(p, s): ..."})
    register(root, "targets", "old.py")
    register(root, "models", "more.py", {"seir": "run"})
    (root / "old.py").unlink()
    registry = refresh(root)
    assert set(registry.targets) == {"prevalence"}
    assert set(registry.models) == {"seir", "simulate"}
    assert read_registry(root) == registry


def test_stale_says_what_is_gone(make_bundle):
    root = make_bundle()
    there = RegisteredFunction(path="model.py", entrypoint="model:simulate")
    assert stale(root, there) is None
    no_file = RegisteredFunction(path="none.py", entrypoint="none:f")
    assert stale(root, no_file) == "the file none.py is gone"
    no_function = RegisteredFunction(path="model.py", entrypoint="model:gone")
    assert "has no gone" in stale(root, no_function)
