import logging
from importlib.metadata import EntryPoint

import pytest

from modelops.algorithms import discovery
from modelops.algorithms.discovery import algorithm_types, check_options, create_algorithm
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace
from modelops.core import plugins
from modelops.core.errors import AlgorithmError
from modelops.testing.algorithms import SPACE

SETTINGS = AlgorithmSettings(seed=1, n_trials=5, n_parallel=2, options={"sampler": "random"})


def refuses(space: object, settings: object) -> AdaptiveAlgorithm:
    raise ValueError("levels is 0")


def install(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [EntryPoint(name, value, discovery.GROUP) for name, value in values.items()]
    monkeypatch.setattr(
        plugins,
        "entry_points",
        lambda group, name=None: [point for point in points if name in (None, point.name)],
    )


def test_optuna_is_installed() -> None:
    assert "optuna" in algorithm_types()
    assert len(create_algorithm("optuna", SPACE, SETTINGS).ask(9)) == 5


def test_an_unknown_type_names_those_there_are_and_a_near_miss() -> None:
    with pytest.raises(AlgorithmError, match=r"(?s)installed are: .*optuna.*Did you mean `optuna`"):
        create_algorithm("optunna", SPACE, SETTINGS)


def test_a_broken_plugin_is_named_and_another_of_that_name_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    points = [
        EntryPoint("optuna", "no_such_module:create", discovery.GROUP),
        EntryPoint("optuna", "modelops.algorithms.optuna_sampler:create", discovery.GROUP),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group, name=None: points)
    with caplog.at_level(logging.WARNING):
        assert create_algorithm("optuna", SPACE, SETTINGS).ask(1)
    assert "no_such_module" in caplog.text


@pytest.mark.parametrize("value", ["no_such_module:create", "math:pi", "math:no_such_name"])
def test_a_plugin_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    install(monkeypatch, broken=value)
    with pytest.raises(AlgorithmError, match=f"(?s){value}.*Reinstall"):
        create_algorithm("broken", SPACE, SETTINGS)


def test_a_factory_that_refuses_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, picky=f"{__name__}:refuses", odd="builtins:max")
    with pytest.raises(AlgorithmError, match=r"'picky'.*levels is 0"):
        create_algorithm("picky", SPACE, SETTINGS)


def test_what_a_factory_makes_must_be_an_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, odd="collections:namedtuple")
    monkeypatch.setattr("collections.namedtuple", lambda space, settings: object())
    with pytest.raises(AlgorithmError, match="no ask, tell and finished"):
        create_algorithm("odd", SPACE, SETTINGS)


def test_all_wrong_options_are_named_at_once() -> None:
    wrong = AlgorithmSettings(1, 5, 2, {"n_startup_trails": 3, "multivariate": "yes"})
    with pytest.raises(AlgorithmError) as caught:
        create_algorithm("optuna", SPACE, wrong)
    unknown, meant, wrong_value = str(caught.value).splitlines()
    assert unknown.startswith("Sampler tpe has no option 'n_startup_trails'; it has: sampler, ")
    assert meant == "Did you mean `n_startup_trials`?"
    assert wrong_value == "Sampler tpe: multivariate is 'yes': this must be true or false."


class Careful:
    """An algorithm that is its own factory; its `check` isn't one of options."""

    def __init__(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        if settings.options:
            raise ValueError("it takes no options")

    def check(self) -> None:
        raise AssertionError


def test_a_class_is_a_factory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, careful=f"{__name__}:Careful")
    (problem,) = check_options("careful", SPACE, SETTINGS)
    assert (problem.path, problem.message) == ((), "it takes no options")
    assert check_options("careful", SPACE, AlgorithmSettings(1, 5, 2, {})) == ()


def test_options_of_a_type_that_is_not_there() -> None:
    with pytest.raises(AlgorithmError, match="no algorithm 'none'"):
        check_options("none", SPACE, SETTINGS)
