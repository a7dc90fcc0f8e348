"""Quantities as people write them: memory in bytes, CPU in cores, durations in seconds.

Memory and CPU follow the Kubernetes notation ("Resource Management for Pods and Containers"),
durations that of Go's `time.ParseDuration`, with days and without fractions below a millisecond.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

MEMORY_FORMS = 'bytes, or a number with k, M, G, T, Ki, Mi, Gi or Ti, as in "16Gi"'
CPU_FORMS = 'cores ("4", 0.5) or thousandths of one ("500m")'
DURATION_FORMS = 'seconds, or parts in the order d, h, m, s, ms, as in "10m" or "1h30m"'

# No quantity of ours needs more digits, and a bound keeps every result a finite float.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_MEMORY = re.compile(rf"({_NUMBER})(k|M|G|T|Ki|Mi|Gi|Ti)?")
_CPU = re.compile(rf"({_NUMBER})(m)?")
_SECONDS = re.compile(_NUMBER)
_DURATION = re.compile(
    "".join(rf"(?:({_NUMBER}){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms"))
)

# The same for JSON Schema, where at least one digit isn't 0. What has no pattern (a whole number of
# bytes) is left to the functions below.
MEMORY_PATTERN, CPU_PATTERN, DURATION_PATTERN = (
    f"^(?=.*[1-9])(?:{form.replace('(' + _NUMBER + ')', _NUMBER)})$"
    for form in (_MEMORY.pattern, _CPU.pattern, f"{_SECONDS.pattern}|{_DURATION.pattern}")
)

_LOOSE = re.compile(r"([0-9]+(?:\.[0-9]+)?)[ _]*([A-Za-z]+)\.?", re.ASCII)
# What people write instead of a unit, in lower case.
_MEMORY_WORDS = {
    "b": "",
    "bytes": "",
    **{word: unit for unit in "kMGT" for word in (unit.lower(), f"{unit.lower()}b")},
    **{word: f"{unit}i" for unit in "KMGT" for word in (f"{unit}i".lower(), f"{unit}ib".lower())},
}
_CPU_WORDS = {
    **dict.fromkeys(("c", "cpu", "cpus", "core", "cores", "vcpu", "vcpus"), ""),
    **dict.fromkeys(("m", "millicpu", "millicpus", "millicores"), "m"),
}
_DURATION_WORDS = {
    word: unit
    for unit, words in {
        "d": "d day days",
        "h": "h hr hrs hour hours",
        "m": "m min mins minute minutes",
        "s": "s sec secs second seconds",
        "ms": "ms msec msecs millisecond milliseconds",
    }.items()
    for word in words.split()
}
_BYTES: dict[str | None, int] = {
    None: 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)},
}
_UNIT_SECONDS = (Fraction(86400), Fraction(3600), Fraction(60), Fraction(1), Fraction(1, 1000))


class QuantityError(ValueError):
    """A value isn't a quantity.

    Attributes:
        suggestion: what was probably meant, or an empty text.
    """

    def __init__(self, message: str, suggestion: str) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def parse_memory(value: object) -> int:
    """Return an amount of memory in bytes.

    Raises:
        QuantityError: that says what is allowed, unless the value is a whole number of bytes
            above 0.
    """
    match = _match(_MEMORY, value)
    if match:
        amount = Fraction(match[1]) * _BYTES[match[2]]
        if amount > 0 and amount.denominator == 1:
            return int(amount)
    message = f"memory is a whole number of bytes above 0: {MEMORY_FORMS}"
    raise QuantityError(message, _meant(value, _MEMORY_WORDS, parse_memory))


def parse_cpu(value: object) -> float:
    """Return an amount of CPU in cores.

    Raises:
        QuantityError: that says what is allowed, unless the value is above 0.
    """
    match = _match(_CPU, value)
    if match:
        amount = Fraction(match[1]) / (1000 if match[2] else 1)
        if amount > 0:
            return float(amount)
    message = f"cpu is an amount above 0: {CPU_FORMS}"
    raise QuantityError(message, _meant(value, _CPU_WORDS, parse_cpu))


def parse_duration(value: object) -> float:
    """Return a duration in seconds.

    Raises:
        QuantityError: that says what is allowed, unless the value is above 0.
    """
    if match := _match(_SECONDS, value):
        amount = Fraction(match[0])
    elif match := _match(_DURATION, value):
        parts = zip(match.groups(), _UNIT_SECONDS, strict=True)
        amount = sum((Fraction(part) * unit for part, unit in parts if part), Fraction(0))
    else:
        amount = Fraction(0)
    if amount > 0:
        return float(amount)
    message = f"a duration is above 0: {DURATION_FORMS}"
    raise QuantityError(message, _meant(value, _DURATION_WORDS, parse_duration))


def _match(pattern: re.Pattern[str], value: object) -> re.Match[str] | None:
    """Match the whole of a number or a text; a bool is neither."""
    if isinstance(value, float):
        # Written out in full: 1e9 is a number of bytes as good as 1000000000.
        return pattern.fullmatch(format(Decimal(repr(value)), "f"))
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return pattern.fullmatch(str(value))
    return None


def _meant(value: object, words: Mapping[str, str], parse: Callable[[object], float]) -> str:
    """Return "Did you mean …?" for a number with another word for a unit."""
    match = _LOOSE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match or match[2].lower() not in words:
        return ""
    near = f"{match[1]}{words[match[2].lower()]}"
    if near == value:
        return ""
    try:
        parse(near)
    except ValueError:
        return ""
    return f"Did you mean `{near}`?"
