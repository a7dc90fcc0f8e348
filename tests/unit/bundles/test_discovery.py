import pytest

from modelops.bundles.discovery import discover, resolve_model, resolve_targets, search
from modelops.bundles.registry_file import REGISTRY_FILE
from modelops.core.errors import BundleFileError


def targets_of(make_bundle, code, name="more.py"):
    registry = discover(make_bundle({name: code, "targets.py": None}))
    return {id_: function.entrypoint for id_, function in registry.targets.items()}


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        ("@target", "f"),
        ("@target()", "f"),
        ('@target("x")', "x"),
        ('@target(id="x")', "x"),
        ("@target(id=None)", "f"),
        ("@calibration.target", "f"),
        ('@modelops.calibration.target("x")', "x"),
        ("@other\n@target\n@another(1)", "f"),
    ],
)
def test_ways_to_write_the_decorator(make_bundle, decorator, expected):
    assert targets_of(make_bundle, f"{decorator}\ndef f(): ...\n") == {expected: "more:f"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from modelops.calibration import target as t\n@t\ndef f(): ...", {"f": "more:f"}),
        ("import modelops.calibration as mc\n@mc.target\ndef f(): ...", {"f": "more:f"}),
        (
            "import modelops.calibration\n@modelops.calibration.target\ndef f(): ...",
            {"f": "more:f"},
        ),
        ("from . import marks\n@marks.target\ndef f(): ...", {"f": "more:f"}),
        ("if True:\n  @target\n  def f(): ...", {"f": "more:f"}),
        ("try:\n  pass\nfinally:\n  @target\n  def f(): ...", {"f": "more:f"}),
        ("import flask\n@flask.target\ndef f(): ...", {}),
        ("from other import target as goal\n@goal.target\ndef f(): ...", {}),
        ("@a.b().target\ndef f(): ...", {}),
        ("@target.other\ndef f(): ...", {}),
        ("from modelops import calibration as c\n@c.target\ndef f(): ...", {"f": "more:f"}),
        (
            "import modelops.calibration as a\n@a.target('x')\ndef f(): 1\n@a.target\ndef g(): 2",
            {"x": "more:f", "g": "more:g"},
        ),
        ("match 1:\n  case 1:\n    @target\n    def f(): ...", {"f": "more:f"}),
        ("class A:\n  @target\n  def f(self): ...", {}),
        ("def g():\n  @target\n  def f(): ...", {}),
        ("# @target\ntext = '@target'\n", {}),
    ],
)
def test_what_counts_as_marked(make_bundle, code, expected):
    assert targets_of(make_bundle, code) == expected


def test_modules_are_named_by_their_path(make_bundle):
    assert targets_of(make_bundle, "@target\ndef f(): ...", "a/b.py") == {"f": "a.b:f"}


def test_a_package_is_named_by_its_folder(make_bundle):
    assert targets_of(make_bundle, "@target\ndef f(): ...", "a/__init__.py") == {"f": "a:f"}


def test_marked_models_stand_beside_the_entrypoint(make_bundle):
    root = make_bundle({"other.py": "@model('seir')\ndef run(params, seed): ..."})
    models = {id_: function.entrypoint for id_, function in discover(root).models.items()}
    assert models == {"seir": "other:run", "simulate": "model:simulate"}


def test_a_marked_entrypoint_has_the_id_of_its_mark_alone(make_bundle):
    root = make_bundle({"model.py": "@model('sir')\ndef simulate(params, seed): ..."})
    models = {id_: function.entrypoint for id_, function in discover(root).models.items()}
    assert models == {"sir": "model:simulate"}


def test_nothing_is_imported(make_bundle):
    root = make_bundle({"bad.py": "raise SystemExit('imported')\n@target\ndef f(): ..."})
    assert discover(root).targets["f"].entrypoint == "bad:f"


def test_ignored_files_have_no_say(make_bundle):
    root = make_bundle({".mopsignore": "old/\n", "old/t.py": "@target\ndef prevalence(): ..."})
    assert discover(root).targets["prevalence"].entrypoint == "targets:prevalence"


def test_one_id_twice_is_an_error(make_bundle):
    root = make_bundle({"more.py": "@target\ndef prevalence(): ..."})
    with pytest.raises(BundleFileError, match=r"more:prevalence.*targets:prevalence"):
        discover(root)


def test_broken_python_is_located(make_bundle):
    root = make_bundle({"more.py": "x = 1\n@target\ndef f(:\n"})
    with pytest.raises(BundleFileError, match=r"more\.py:3:7"):
        discover(root)


def test_all_that_is_broken_is_named_and_the_rest_is_found(make_bundle):
    root = make_bundle(
        {
            "a.py": "@target\ndef f(:",
            "b.py": "@target(NAME)\ndef g(): ...",
            "c.py": "@target\ndef prevalence(): ...",
            "d-e.py": "@model\ndef run(params, seed): ...",
            "f.py": "@model\ndef other(params, seed): ...",
        }
    )
    with pytest.raises(BundleFileError) as caught:
        discover(root)
    for words in (
        "a.py:2:7",
        "b.py:1:9",
        "Two targets have the id",
        "no module can have this path",
    ):
        assert words in caught.value.message
    found = search(root)
    assert len(found.problems) == 4
    assert set(found.registry.models) == {"other", "simulate"}
    assert set(found.registry.targets) == {"prevalence"}


def test_an_id_that_is_computed_is_an_error(make_bundle):
    root = make_bundle({"more.py": "@target(NAME)\ndef f(): ..."})
    with pytest.raises(BundleFileError, match=r"more\.py:1:9: this id isn't plain text"):
        discover(root)


def test_a_path_that_no_module_has_is_an_error(make_bundle):
    root = make_bundle({"my-targets.py": "@target\ndef f(): ..."})
    with pytest.raises(BundleFileError, match="no module can have this path"):
        discover(root)


def test_resolves_the_entrypoint_and_ids(make_bundle):
    root = make_bundle()
    assert resolve_model(root, None) == "model:simulate"
    assert resolve_model(root, "simulate") == "model:simulate"
    assert resolve_targets(root, []) == {"prevalence": "targets:prevalence"}
    assert resolve_targets(root, ("prevalence",)) == {"prevalence": "targets:prevalence"}


def test_targets_come_in_the_order_that_was_asked_for(make_bundle):
    root = make_bundle({"targets.py": "@target\ndef a(): ...\n@target\ndef b(): ..."})
    assert list(resolve_targets(root, ["b", "a"])) == ["b", "a"]
    assert list(resolve_targets(root, [])) == ["a", "b"]


def test_unknown_ids_get_a_near_miss(make_bundle):
    root = make_bundle()
    with pytest.raises(BundleFileError) as caught:
        resolve_targets(root, ["prevalance"])
    assert caught.value.hint == "Did you mean `prevalence`?"
    with pytest.raises(BundleFileError) as caught:
        resolve_model(root, "xyz")
    assert caught.value.hint == "There are: simulate"


def test_the_registry_goes_before_the_code(make_bundle):
    text = "models: {sir: {path: model.py, entrypoint: 'model:simulate'}}"
    root = make_bundle({REGISTRY_FILE: text})
    assert resolve_model(root, "sir") == "model:simulate"
    assert resolve_targets(root, []) == {}
    with pytest.raises(BundleFileError, match="The code has it") as caught:
        resolve_targets(root, ["prevalence"])
    assert "mops bundle refresh" in caught.value.hint


@pytest.mark.parametrize(
    ("entrypoint", "hint"),
    [("modle:simulate", "Did you mean `model`?"), ("model:simulat", "Did you mean `simulate`?")],
)
def test_an_entrypoint_that_is_gone_gets_a_near_miss(make_bundle, entrypoint, hint):
    manifest = f'{{"name": "sir", "version": "1", "entrypoint": "{entrypoint}"}}'
    with pytest.raises(BundleFileError) as caught:
        resolve_model(make_bundle({"manifest.json": manifest}), None)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "code",
    [
        "from elsewhere import simulate",
        "from elsewhere import *",
        "from elsewhere import run as simulate",
        "simulate = make()",
        "simulate: object = make()",
        "a, simulate = make()",
        "class simulate: ...",
    ],
)
def test_a_function_need_not_be_defined_in_its_module(make_bundle, code):
    assert resolve_model(make_bundle({"model.py": code}), None) == "model:simulate"
