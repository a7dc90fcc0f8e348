import pytest

from modelops.bundles.registration import register
from modelops.bundles.registry_file import REGISTRY_FILE
from modelops.bundles.validate import validate_bundle


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
    root = make_bundle({"more.py": "@target\ndef b(): ..."})
    register(root, "targets", "targets.py")
    assert warnings(root) == [f"more.py: targets.b isn't in {REGISTRY_FILE}, so no run can name it"]
