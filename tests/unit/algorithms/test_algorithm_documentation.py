"""The page on algorithms names every option, and the example in it keeps the contract."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modelops.algorithms import abc_smc
from modelops.algorithms.discovery import algorithm_types
from modelops.algorithms.options import OptionError
from modelops.algorithms.optuna_samplers import SAMPLERS
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace
from modelops.testing.algorithms import SPACE, AlgorithmContract

PAGE = (Path(__file__).parents[3] / "docs" / "algorithms.md").read_text()
EXAMPLE, _, CHECK, *_ = re.findall(r"(?s)```python\n(.*?)```", PAGE)
OPTIONS = {
    *abc_smc._OPTIONS,
    *(name for sampler in SAMPLERS.values() for name in sampler.options),
    "points",
    "scramble",
}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}")[2].partition("\n## ")[0]


def test_every_algorithm_and_option_is_named() -> None:
    assert {name for name in algorithm_types() if f"`{name}`" not in PAGE} == set()
    assert {name for name in OPTIONS if f"`{name}`" not in PAGE} == set()
    optuna = section("optuna")
    for name, sampler in SAMPLERS.items():
        (row,) = re.findall(rf"(?m)^\| `{name}`.*$", optuna)
        assert set(re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])) == set(sampler.options)
        packages = {"cmaes": "cmaes", "gp": "gp", "qmc": "qmc"}
        assert (f"modelops[{packages.get(name, '-')}]" in row) == bool(sampler.packages)


@pytest.mark.parametrize("option", abc_smc._OPTIONS)
def test_every_option_of_abc_smc_has_a_row(option: str) -> None:
    assert f"\n| `{option}` |" in section("abc-smc")


class TestExample(AlgorithmContract):
    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        names: dict[str, Any] = {}
        exec(EXAMPLE, names)
        algorithm: AdaptiveAlgorithm = names["create"](space, settings)
        return algorithm


def test_the_example_of_a_check_refuses_options(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec(EXAMPLE, names)
    exec(CHECK, names)
    wrong, right = (AlgorithmSettings(1, 5, 2, {"step": step}) for step in (0, 1))
    # Nothing heavy is imported for a check.
    with pytest.raises(OptionError, match="step is 0: this must be a number above 0"):
        names["create"].check(SPACE, wrong)
    sampler = ModuleType("modelops_descent.sampler")
    vars(sampler).update(names)
    monkeypatch.setitem(sys.modules, "modelops_descent", ModuleType("modelops_descent"))
    monkeypatch.setitem(sys.modules, "modelops_descent.sampler", sampler)
    assert len(names["create"](SPACE, right).ask(9)) == 5
    with pytest.raises(OptionError):
        names["create"](SPACE, wrong)
