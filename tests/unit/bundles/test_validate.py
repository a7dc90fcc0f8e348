import pytest

from modelops.bundles.registration import register
from modelops.bundles.registry_file import REGISTRY_FILE
from modelops.bundles.validate import refuse_invalid, validate_bundle
from modelops.core.errors import BundleFileError


def errors(root):
    return [finding.message for finding in validate_bundle(root) if finding.severity == "error"]


def warnings(root):
    return [finding.message for finding in validate_bundle(root) if finding.severity == "warning"]


def test_a_sound_bundle_has_no_findings(make_bundle):
    assert validate_bundle(make_bundle()) == []


def test_all_that_is_wrong_is_found(make_bundle):
    root = make_bundle(
        {
            "manifest.json": "{",
            REGISTRY_FILE: "targets: {a: {path: none.py, entrypoint: none:f}}",
        }
    )
    (root / "link").symlink_to("/")
    found = errors(root)
    assert len(found) == 3
    assert "link: a symbolic link" in found[0]
    assert "manifest.json:1:2" in found[1]
    assert found[2] == f"{REGISTRY_FILE}: targets.a is stale: the file none.py is gone"


@pytest.mark.parametrize(
    "signature",
    [
        "(params, seed)",
        "(params, seed, extra=1)",
        "(p, s, /)",
        "(*args)",
        "(params, *rest)",
        "(params, seed, *, option=1, **others)",
        "(params=None, seed=0)",
    ],
)
def test_what_takes_params_and_seed(make_bundle, signature):
    assert errors(make_bundle({"model.py": f"def simulate{signature}: ..."})) == []


@pytest.mark.parametrize(
    "signature",
    ["()", "(params)", "(params, seed, more)", "(params, *, seed)", "(params, seed, *, more)"],
)
def test_what_does_not(make_bundle, signature):
    found = errors(make_bundle({"model.py": f"def simulate{signature}: ..."}))
    assert found == ["model.py:1: simulate can't be called with two arguments, params and seed"]


def test_a_model_is_not_async(make_bundle):
    found = errors(make_bundle({"model.py": "async def simulate(params, seed): ..."}))
    assert found == ["model.py:1: simulate is async, which a model can't be"]


def test_what_is_imported_is_not_judged(make_bundle):
    assert errors(make_bundle({"model.py": "from elsewhere import simulate"})) == []


def test_an_entrypoint_that_is_gone_is_found(make_bundle):
    found = errors(make_bundle({"model.py": "def other(params, seed): ..."}))
    assert len(found) == 1
    assert "model.py has no simulate" in found[0]


def test_no_targets_is_a_warning(make_bundle):
    found = warnings(make_bundle({"targets.py": None}))
    assert len(found) == 1
    assert "no targets" in found[0]


def test_what_is_marked_but_not_registered_is_a_warning(make_bundle):
    root = make_bundle()
    register(root, "targets", "targets.py")
    (root / "more.py").write_text("@target\ndef b(): ...")
    assert warnings(root) == [f"more.py: targets.b isn't in {REGISTRY_FILE}, so no run can name it"]


def test_every_file_that_is_not_python_is_found(make_bundle):
    broken = {f"b{index}.py": "@target\ndef f(:\n" for index in range(3)}
    found = errors(make_bundle({**broken, "c.py": "@target(NAME)\ndef f(): ..."}))
    assert len(found) == 4
    for name in broken:
        assert any(f"{name}:2:7" in message for message in found)


@pytest.mark.parametrize("signature", ["()", "(a=1)", "(*rest, b=2, **more)"])
def test_what_a_target_may_take(make_bundle, signature):
    assert errors(make_bundle({"targets.py": f"@target\ndef a{signature}: ..."})) == []


@pytest.mark.parametrize("signature", ["(a)", "(a, b=1)", "(*, a)"])
def test_a_target_is_called_without_arguments(make_bundle, signature):
    found = errors(make_bundle({"targets.py": f"@target\ndef a{signature}: ..."}))
    assert found == ["targets.py:2: a can't be called without arguments"]


@pytest.mark.parametrize("registered", [True, False])
def test_marked_models_are_checked_too(make_bundle, registered):
    root = make_bundle({"more.py": "@model\ndef run(params): ..."})
    if registered:
        register(root, "models", "more.py")
    assert errors(root) == ["more.py:2: run can't be called with two arguments, params and seed"]


def test_what_other_decorators_make_of_a_function_is_not_judged(make_bundle):
    code = "import lib\n@target\n@lib.give('data')\ndef a(data): ..."
    assert errors(make_bundle({"targets.py": code})) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class A:\n  @target\n  def f(self): ...", "f is marked @target, but is inside a class"),
        (
            "def g():\n  @calibration.model('x')\n  def f(): ...",
            "f is marked @model, but is inside",
        ),
        ("@target\nclass A: ...", "A is marked @target, but is a class"),
        ("@target\nasync def f(): ...", "f is marked @target, but is async"),
    ],
)
def test_a_mark_where_nothing_is_found_is_a_warning(make_bundle, code, words):
    (found,) = warnings(make_bundle({"more.py": code}))
    assert found.startswith("more.py:")
    assert words in found


def test_a_registry_that_is_not_packed_is_an_error(make_bundle):
    root = make_bundle({".mopsignore": ".modelops-bundle/\n"})
    assert errors(root) == []
    register(root, "targets", "targets.py")
    (found,) = errors(root)
    assert "registry.yaml isn't packed" in found


def test_all_errors_keep_a_bundle_from_being_used(make_bundle):
    refuse_invalid(make_bundle({"targets.py": None}, "warned"))
    root = make_bundle({"model.py": "def simulate(): ...", "more.py": "@target\ndef f(:"})
    with pytest.raises(BundleFileError) as caught:
        refuse_invalid(root)
    assert "model.py:1" in caught.value.message
    assert "more.py:2:7" in caught.value.message
