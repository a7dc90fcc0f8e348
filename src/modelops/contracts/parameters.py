"""A set of parameters and its identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from modelops.contracts.canonical import Scalar, make_param_id
from modelops.contracts.errors import ContractError


@dataclass(frozen=True)
class UniqueParameterSet:
    """What an algorithm asks to have tried: parameters, their identity and the trial's number.

    Guarantees: equal parameters have equal `param_id`; `params` can't be changed; every value is
    a finite scalar. `trial` is the number that `ask` gave it, or None outside a run; two trials may
    have the same parameters.

    Raises:
        ContractError: if a value isn't a finite scalar, or `param_id` isn't that of `params`.
    """

    params: Mapping[str, Scalar]
    param_id: str
    trial: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        expected = make_param_id(self.params)
        if self.param_id != expected:
            raise ContractError(f"param_id {self.param_id!r} isn't that of the parameters")
        check_trial(self.trial)

    @classmethod
    def from_dict(cls, params: Mapping[str, Scalar], trial: int | None = None) -> Self:
        """Make a parameter set, computing its `param_id`."""
        return cls(params=params, param_id=make_param_id(params), trial=trial)

    def __hash__(self) -> int:
        return hash((self.param_id, self.trial))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self.params), self.param_id, self.trial))


def check_trial(trial: object) -> None:
    """Raise ContractError unless `trial` is None or a number from 0."""
    if trial is None:
        return
    if isinstance(trial, bool) or not isinstance(trial, int) or trial < 0:
        raise ContractError(f"a trial is numbered from 0, not {trial!r}")
