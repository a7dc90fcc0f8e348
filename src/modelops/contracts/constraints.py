"""Constraints between parameters: a small language of comparisons, which runs no code.

`beta > gamma`, `a + b <= 1`, `scenario != "none" or start < 30`. It has numbers, text in quotes,
True and False, names of parameters, `+ - * / **`, comparisons (also chained), `and`, `or`, `not`,
`min`, `max` and `abs`. Numbers are floats. A name that isn't one of Python's is in backquotes.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelops.contracts.canonical import Scalar
from modelops.contracts.errors import ContractError

MAX_LENGTH = 1_000
"""The most characters of a constraint."""

_MAX_DEPTH = 50
_QUOTED = re.compile(r"`([^`]+)`")

_Value = bool | float | str
_Evaluate = Callable[[Mapping[str, Scalar]], Any]
_Kinds = frozenset[type]

_NUMBER: _Kinds = frozenset((float,))
_TRUTH: _Kinds = frozenset((bool,))
_TEXT: _Kinds = frozenset((str,))
_WORDS = {float: "a number", bool: "true or false", str: "text"}

_ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    # Of Python's own, a root of a negative number is complex.
    ast.Pow: math.pow,
}
_SIGNS: dict[type[ast.AST], Callable[[float], float]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_ORDER: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALITY: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    # Of one kind: to Python, True equals 1.
    ast.Eq: lambda left, right: type(left) is type(right) and left == right,
    ast.NotEq: lambda left, right: not (type(left) is type(right) and left == right),
}
_FUNCTIONS: dict[str, tuple[Callable[..., float], int, float]] = {
    "min": (min, 2, math.inf),
    "max": (max, 2, math.inf),
    "abs": (abs, 1, 1),
}


@dataclass(frozen=True)
class Constraint:
    """A condition that the parameters of every trial fulfil.

    Guarantees: it was read in full and is made of this module's language alone; equal texts are
    equal constraints.

    Raises:
        ContractError: if the text isn't a constraint; the message names what is wrong.
    """

    text: str
    names: frozenset[str] = field(init=False, repr=False, compare=False)
    _expression: "_Expression" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ContractError(f"a constraint is text, not {self.text!r}")
        expression = _Expression(self.text)
        object.__setattr__(self, "_expression", expression)
        object.__setattr__(self, "names", frozenset(expression.names))

    def holds(self, params: Mapping[str, Scalar]) -> bool:
        """Return whether it holds; where it isn't defined, as in a division by 0, it doesn't.

        Raises:
            KeyError: if a parameter that it names isn't there.
        """
        try:
            return bool(self._expression.evaluate(params))
        except (ArithmeticError, ValueError):
            return False

    def check(self, kinds: Mapping[str, _Kinds]) -> None:
        """Check it against parameters, by name, of which each has values of some of Python's types.

        Raises:
            ContractError: if a name is unknown, or something is added, compared or taken for a
                condition that can't be.
        """
        self._expression.check(
            {
                name: frozenset(float if kind is int else kind for kind in types)
                for name, types in kinds.items()
            }
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.text,))


class _Expression:
    """A parsed constraint."""

    def __init__(self, text: str) -> None:
        self._source, self._quoted = _without_backquotes(text.strip())
        self._text = text
        self._tree = self._parse()
        self.names = list(dict.fromkeys(self._names(self._tree)))
        self.evaluate = self._compile(self._tree, 0)

    def check(self, kinds: Mapping[str, _Kinds]) -> None:
        for name in self.names:
            if name not in kinds:
                raise ContractError(
                    f"there is no parameter `{name}`; there are: {', '.join(kinds)}"
                )
        if self._kinds(self._tree, kinds) != _TRUTH:
            raise ContractError(f"`{self._text}` isn't a condition; compare it with something")

    def _parse(self) -> ast.expr:
        if len(self._text) > MAX_LENGTH:
            raise ContractError(f"a constraint has at most {MAX_LENGTH:,} characters")
        try:
            return ast.parse(self._source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = error.msg if isinstance(error, SyntaxError) else "it can't be read"
            raise ContractError(f"`{self._text}` isn't an expression: {why}") from None

    def _names(self, tree: ast.expr) -> Iterator[str]:
        functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and id(node) not in functions:
                yield self._name(node)

    def _name(self, node: ast.Name) -> str:
        # As it is written: Python writes some letters of names in another way.
        written = ast.get_source_segment(self._source, node) or node.id
        return self._quoted.get(written, written)

    def _compile(self, node: ast.expr, depth: int) -> _Evaluate:  # noqa: C901, PLR0911 - a case a kind of node
        if depth > _MAX_DEPTH:
            raise ContractError(f"`{self._text}` is nested more than {_MAX_DEPTH} deep")

        def inner(part: ast.expr) -> _Evaluate:
            return self._compile(part, depth + 1)

        match node:
            case ast.Constant(bool() | str() as value):
                constant = self._shown(value) if isinstance(value, str) else value
                return lambda _: constant
            case ast.Constant(int() | float() as value):
                return _number(self._finite(value))
            case ast.Name():
                return _lookup(self._name(node))
            case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
                return _binary(_ARITHMETIC[type(op)], inner(left), inner(right))
            case ast.UnaryOp(op, operand) if type(op) in _SIGNS:
                return _unary(_SIGNS[type(op)], inner(operand))
            case ast.UnaryOp(ast.Not(), operand):
                return _unary(operator.not_, inner(operand))
            case ast.BoolOp(op, parts):
                return _joined(all if isinstance(op, ast.And) else any, [*map(inner, parts)])
            case ast.Compare(left, ops, others) if all(type(op) in _COMPARISONS for op in ops):
                compare = [_COMPARISONS[type(op)] for op in ops]
                return _chain(compare, [inner(left), *map(inner, others)])
            case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS:
                function, least, most = _FUNCTIONS[name]
                if least <= len(arguments) <= most:
                    return _call(function, [*map(inner, arguments)])
                takes = "one argument" if most == 1 else "two arguments or more"
                raise ContractError(f"`{self._show(node)}` is wrong: {name} takes {takes}")
        raise ContractError(
            f"`{self._show(node)}` isn't allowed in a constraint; there are numbers, text, names "
            "of parameters, + - * / **, comparisons, and, or, not, min, max and abs"
        )

    def _finite(self, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ContractError(f"`{self._text}` has a number that is too large")
        return number

    def _kinds(self, node: ast.expr, kinds: Mapping[str, _Kinds]) -> _Kinds:  # noqa: PLR0911 - a case a kind of node
        """Return the types that a part's value can have; int counts as float."""
        match node:
            case ast.Constant(value):
                return frozenset((float if type(value) is int else type(value),))
            case ast.Name():
                return kinds[self._name(node)]
            case ast.Compare(left, ops, others):
                for first, op, second in zip([left, *others], ops, others, strict=False):
                    self._check_comparison(first, op, second, kinds)
                return _TRUTH
            case ast.BoolOp(_, parts):
                return self._expect(_TRUTH, node, parts, kinds)
            case ast.UnaryOp(ast.Not(), operand):
                return self._expect(_TRUTH, node, [operand], kinds)
            case ast.UnaryOp(_, operand):
                return self._expect(_NUMBER, node, [operand], kinds)
            case ast.BinOp(left, _, right):
                return self._expect(_NUMBER, node, [left, right], kinds)
            case ast.Call(_, arguments):
                return self._expect(_NUMBER, node, arguments, kinds)
        raise AssertionError("the expression was compiled")

    def _check_comparison(
        self, first: ast.expr, op: ast.cmpop, second: ast.expr, kinds: Mapping[str, _Kinds]
    ) -> None:
        if type(op) in _ORDER:
            self._expect(_NUMBER, first, [first], kinds)
            self._expect(_NUMBER, second, [second], kinds)
        elif not self._kinds(first, kinds) & self._kinds(second, kinds):
            raise ContractError(
                f"`{self._show(first)}` and `{self._show(second)}` are never equal: they are of "
                "different kinds"
            )

    def _expect(
        self,
        wanted: _Kinds,
        around: ast.expr,
        parts: Iterable[ast.expr],
        kinds: Mapping[str, _Kinds],
    ) -> _Kinds:
        for part in parts:
            found = self._kinds(part, kinds)
            if found != wanted:
                is_word = _WORDS[next(iter(found - wanted))]
                within = "" if part is around else f" in `{self._show(around)}`"
                must = _WORDS[next(iter(wanted))]
                raise ContractError(
                    f"`{self._show(part)}` can be {is_word}; it must be {must}{within}"
                )
        return wanted

    def _show(self, node: ast.expr) -> str:
        return self._shown(ast.get_source_segment(self._source, node) or "")

    def _shown(self, text: str) -> str:
        for placeholder, name in self._quoted.items():
            text = text.replace(placeholder, f"`{name}`")
        return text


_COMPARISONS = {**_ORDER, **_EQUALITY}


def _without_backquotes(text: str) -> tuple[str, dict[str, str]]:
    """Return the text with names for what is in backquotes, and what they stand for."""
    prefix = "quoted_"
    while prefix in text:
        prefix += "_"
    quoted: dict[str, str] = {}

    def replace(found: re.Match[str]) -> str:
        placeholder = f"{prefix}{len(quoted)}_"
        quoted[placeholder] = found[1]
        return placeholder

    return _QUOTED.sub(replace, text), quoted


def _number(value: float) -> _Evaluate:
    return lambda _: value


def _lookup(name: str) -> _Evaluate:
    def evaluate(params: Mapping[str, Scalar]) -> _Value:
        value = params[name]
        return value if isinstance(value, (bool, str)) else float(value)

    return evaluate


def _unary(function: Callable[[Any], Any], operand: _Evaluate) -> _Evaluate:
    return lambda params: function(operand(params))


def _binary(
    function: Callable[[float, float], float], left: _Evaluate, right: _Evaluate
) -> _Evaluate:
    return lambda params: function(left(params), right(params))


def _joined(join: Callable[[Iterator[bool]], bool], parts: list[_Evaluate]) -> _Evaluate:
    return lambda params: join(part(params) for part in parts)


def _call(function: Callable[..., float], arguments: list[_Evaluate]) -> _Evaluate:
    return lambda params: function(*[argument(params) for argument in arguments])


def _chain(compare: list[Callable[[Any, Any], bool]], parts: list[_Evaluate]) -> _Evaluate:
    def evaluate(params: Mapping[str, Scalar]) -> bool:
        left = parts[0](params)
        for comparison, part in zip(compare, parts[1:], strict=True):
            right = part(params)
            if not comparison(left, right):
                return False
            left = right
        return True

    return evaluate
