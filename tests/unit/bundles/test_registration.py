import pytest

from modelops.bundles.registration import difference, refresh, register, stale, unregister
from modelops.bundles.registry_file import RegisteredFunction, read_registry
from modelops.core.errors import BundleFileError, BundleNotThereError


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
    root = make_bundle()
    register(root, "targets", "targets.py")
    (root / "more.py").write_text("@target\ndef prevalence(): ...")
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


def test_a_file_that_was_renamed_gives_its_ids_free(make_bundle):
    root = make_bundle()
    register(root, "targets", "targets.py")
    (root / "targets.py").rename(root / "goals.py")
    registry = register(root, "targets", "goals.py")
    assert registry.targets["prevalence"].entrypoint == "goals:prevalence"


def test_what_is_marked_counts_until_there_is_a_registry_and_so_it_is_registered_first(make_bundle):
    root = make_bundle({"more.py": "def run(params, seed): ..."})
    registry = register(root, "models", "more.py", {"seir": "run"})
    assert set(registry.models) == {"seir", "simulate"}
    assert set(registry.targets) == {"prevalence"}


def test_functions_that_are_named_one_by_one_stay_together(make_bundle):
    root = make_bundle({"more.py": "def a(p, s): ...\ndef b(p, s): ...\ndef c(p, s): ..."})
    for name in ("a", "b", "c"):
        register(root, "models", "more.py", {f"model {name}": name})
    (root / "more.py").write_text("def a(p, s): ...\ndef c(p, s): ...")
    registry = register(root, "models", "more.py", {"another": "c"})
    assert set(registry.models) == {"simulate", "model a", "another"}


def test_unregister_takes_out_models_and_targets(make_bundle):
    root = make_bundle({"more.py": "@target\ndef b(): ..."})
    refresh(root)
    registry = unregister(root, ["prevalence", "simulate"])
    assert (set(registry.models), set(registry.targets)) == (set(), {"b"})
    assert read_registry(root) == registry


@pytest.mark.parametrize(
    ("ids", "hint"),
    [
        (["prevalance"], "Did you mean `prevalence`?"),
        (["prevalence", "xyz"], "There are: prevalence, simulate"),
    ],
)
def test_unregister_of_what_is_not_there_changes_nothing(make_bundle, ids, hint):
    root = make_bundle()
    before = refresh(root)
    with pytest.raises(BundleNotThereError, match="has no model or target") as caught:
        unregister(root, ids)
    assert caught.value.hint == hint
    assert read_registry(root) == before


def test_an_id_of_both_kinds_needs_its_kind(make_bundle):
    root = make_bundle({"more.py": "@target\ndef simulate(): ..."})
    refresh(root)
    with pytest.raises(BundleFileError, match="a model and a target"):
        unregister(root, ["simulate"])
    registry = unregister(root, ["simulate"], "models")
    assert (set(registry.models), set(registry.targets)) == (set(), {"prevalence", "simulate"})
    with pytest.raises(BundleNotThereError, match="has no model 'prevalence'"):
        unregister(root, ["prevalence"], "models")


def test_without_a_registry_there_is_nothing_to_unregister(make_bundle):
    with pytest.raises(BundleNotThereError, match="marked in the code"):
        unregister(make_bundle(), ["prevalence"])


def test_the_difference_names_what_came_and_what_went(make_bundle):
    root = make_bundle()
    before = refresh(root)
    (root / "targets.py").write_text("@target('prevalence')\ndef a(): ...\n@target\ndef b(): ...")
    added, removed = difference(before, refresh(root))
    assert [(kind, id_, item.entrypoint) for kind, id_, item in added] == [
        ("targets", "b", "targets:b"),
        ("targets", "prevalence", "targets:a"),
    ]
    assert [(kind, id_, item.entrypoint) for kind, id_, item in removed] == [
        ("targets", "prevalence", "targets:prevalence")
    ]
    assert difference(before, before) == ([], [])
    assert difference(None, before)[0] == list(before.entries())
