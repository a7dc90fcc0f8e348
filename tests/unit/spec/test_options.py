# ruff: noqa: E501 (a row of the table is a line)
"""Options of algorithms: refused by `load` as everything else in a file, all at once."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from modelops.algorithms.discovery import GROUP, check_options
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace
from modelops.core import plugins
from modelops.core.errors import AlgorithmError
from modelops.spec import Installed, InvalidSpecError, SpecProblem, load_text
from modelops.spec.models.providers import KNOWN

TYPES = ("abc-smc", "grid", "halton", "lhs", "optuna", "sobol", "acme")
INSTALLED = Installed(KNOWN, TYPES, check_options)
BASE = """\
apiVersion: modelops/v1
kind: Runtime
metadata: {name: sir}
spec:
  provider: {name: local}
  algorithms:
    fit:
      type: TYPE
      parameters: {PARAMETERS}
      entrypoint:
        bundle: .
        targets: [prevalence]
        space: {beta: {low: 0.5, high: 4}, gamma: {low: 0.1, high: 1.0}}
"""
PARAMETERS = "spec.algorithms.fit.parameters"


def problems_of(type_: str, parameters: str, *changes: tuple[str, str]) -> tuple[SpecProblem, ...]:
    text = BASE.replace("TYPE", type_).replace("PARAMETERS", parameters)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    try:
        load_text(text, installed=INSTALLED)
    except InvalidSpecError as error:
        return error.problems
    return ()


# type, parameters, column, path below parameters, found, part of the message, suggestion
WRONG = [
    ("optuna", "sampler: tpee", 29, ".sampler", "tpee", "there are: tpe, random, cmaes,", "Did you mean `tpe`?"),
    ("optuna", "n_startup_trails: 3", 20, ".n_startup_trails", "", "it has: sampler, n_startup_trials,", "Did you mean `n_startup_trials`?"),
    ("optuna", "sampler: random, n_startup_trials: 3", 37, ".n_startup_trials", "", "Sampler random has no option", ""),
    ("optuna", "sampler: gp, n_startup_trials: -1", 51, ".n_startup_trials", "-1", "this must be a whole number from 0", ""),
    ("sobol", "scramble: 1", 30, ".scramble", "1", "this must be true or false", ""),
    ("halton", "scrambel: true", 20, ".scrambel", "", "it has: scramble", "Did you mean `scramble`?"),
    ("lhs", "scramble: true", 20, ".scramble", "", "it has: none", ""),
    ("abc-smc", "kernel: locla", 28, ".kernel", "locla", "one of multivariate, local, componentwise", "Did you mean `local`?"),
    ("abc-smc", "population_size: 101", 37, ".population_size", "101", "n_trials is 100", "Set n_trials to some ten times"),
    ("grid", "points: 0", 28, ".points", "0", "a whole number from 1 to 1,000,000, or a mapping", ""),
    ("grid", "points: {bta: 3}", 29, ".points.bta", "", "there are: beta, gamma", "Did you mean `beta`?"),
    ("grid", "points: 11", 7, ".n_trials", "", "121 combinations, and n_trials is 100", "Set n_trials to 121, or `points` to fewer (beta: 11, gamma: 11)."),
    ("grid", "n_trials: 99", 30, ".n_trials", "99", "100 combinations, and n_trials is 99", "Set n_trials to 100"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "parameters", "column", "path", "found", "message", "advice"), WRONG
)
def test_a_wrong_option_is_shown_where_it_is_with_what_is_allowed(
    type_: str, parameters: str, column: int, path: str, found: str, message: str, advice: str
) -> None:
    (problem,) = problems_of(type_, parameters)
    assert (problem.file, problem.line, problem.column) == ("runtime.yaml", 9, column)
    assert problem.path == PARAMETERS + path
    assert problem.found == found
    assert message in problem.message
    assert advice in problem.suggestion if advice else not problem.suggestion


@pytest.mark.parametrize(
    ("type_", "parameters"),
    [
        ("optuna", "sampler: gp, n_startup_trials: 3"),
        ("optuna", "sampler: cmaes, popsize: 6"),
        ("sobol", "scramble: false"),
        ("lhs", ""),
        ("grid", "points: {beta: 20, gamma: 5}"),
        ("abc-smc", "population_size: 20, tolerance: ess, alpha: 0.9, minimum_tolerance: -1"),
    ],
)
def test_right_options_are_taken_whatever_is_installed(
    type_: str, parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert problems_of(type_, parameters) == ()


def test_all_wrong_options_come_at_once_with_what_else_is_wrong() -> None:
    found = problems_of(
        "abc-smc",
        "kernal: local, alpha: 2, replicats: 3, seed: -1, population_size: 1000",
        ("[prevalence]", "[a, 1]"),
        ("type: ", "bindings: {workers: gpu}\n      type: "),
    )
    assert [item.path for item in found] == [
        "spec.algorithms.fit.bindings.workers",
        f"{PARAMETERS}.kernal",
        f"{PARAMETERS}.alpha",
        f"{PARAMETERS}.replicats",
        f"{PARAMETERS}.seed",
        "spec.algorithms.fit.entrypoint.targets[1]",
    ]


@pytest.mark.parametrize(
    "change",
    [
        ("n_trials: 10", "n_trials: ten"),
        ("n_trials: 10", "nTrials: 1000"),
        ("{low: 0.1, high: 1.0}", "{low: 1, high: 0}"),
        ("[prevalence]", "[prevalence]\n        constraints: [beta < gama]"),
        ("[prevalence]", "[prevalence]\n        constraints: [beta <]"),
    ],
)
def test_what_follows_from_a_part_that_is_wrong_itself_is_not_said(change: tuple[str, str]) -> None:
    # Each would be too large a grid with what takes the place of the wrong part.
    found = problems_of("grid", "n_trials: 10, points: 11", change)
    assert not [item for item in found if "combinations" in item.message]
    assert problems_of("grid", "n_trials: 10, points: 11")


def test_constraints_leave_combinations_out() -> None:
    change = ("[prevalence]", "[prevalence]\n        constraints: [beta < gamma]")
    whole = ("n_trials: 100", "points: 11, n_trials: 100")
    assert problems_of("grid", "n_trials: 100", whole, change) == ()


def picky(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    if settings.options.get("levels") == 0:
        raise ValueError("levels is 0; it must be above")
    if settings.options.get("levels") == 1:
        raise AlgorithmError("a library isn't installed")
    raise KeyError(space.varied[0])


class Checked:
    """A factory with a check, which is all that is called."""

    def check(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        raise ValueError(f"{settings.n_trials} is too much for {', '.join(space.parameters)}")

    def __call__(self, space: SearchSpace, settings: AlgorithmSettings) -> Any:
        raise AssertionError


checked = Checked()


def install(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("acme", value, GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group, name=None: [point])


def test_a_plugin_says_itself_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, f"{__name__}:picky")
    (problem,) = problems_of("acme", "levels: 0")
    assert (problem.path, problem.line, problem.column) == (PARAMETERS, 9, 7)
    assert problem.message == "levels is 0; it must be above"
    install(monkeypatch, f"{__name__}:checked")
    (problem,) = problems_of("acme", "n_trials: 7, n_parallel: 1")
    assert problem.message == "7 is too much for beta, gamma"


def test_what_a_plugin_lacks_here_is_not_wrong_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, f"{__name__}:picky")
    assert problems_of("acme", "levels: 1") == ()


@pytest.mark.parametrize(
    ("value", "words", "advice"),
    [
        ("no_such_module:create", "no_such_module", "Reinstall or upgrade"),
        (f"{__name__}:picky", "KeyError: 'beta'", "Upgrade the package"),
    ],
)
def test_a_broken_plugin_is_named(
    value: str, words: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, value)
    (problem,) = problems_of("acme", "levels: 2")
    assert (problem.path, problem.found) == ("spec.algorithms.fit.type", "acme")
    assert words in problem.message
    assert advice in problem.suggestion
