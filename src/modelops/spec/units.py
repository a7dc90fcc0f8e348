"""Quantities as people write them: memory in bytes, CPU in cores, durations in seconds.

Memory and CPU follow the Kubernetes notation ("Resource Management for Pods and Containers"),
durations that of Go's `time.ParseDuration`, with days and without fractions below a millisecond.
"""

import re
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
_BYTES: dict[str | None, int] = {
    None: 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)},
}
_UNIT_SECONDS = (Fraction(86400), Fraction(3600), Fraction(60), Fraction(1), Fraction(1, 1000))


def parse_memory(value: object) -> int:
    """Return an amount of memory in bytes.

    Raises:
        ValueError: that says what is allowed, unless the value is a whole number of bytes above 0.
    """
    match = _match(_MEMORY, value)
    if match:
        amount = Fraction(match[1]) * _BYTES[match[2]]
        if amount > 0 and amount.denominator == 1:
            return int(amount)
    raise ValueError(f"memory is a whole number of bytes above 0: {MEMORY_FORMS}")


def parse_cpu(value: object) -> float:
    """Return an amount of CPU in cores.

    Raises:
        ValueError: that says what is allowed, unless the value is above 0.
    """
    match = _match(_CPU, value)
    if match:
        amount = Fraction(match[1]) / (1000 if match[2] else 1)
        if amount > 0:
            return float(amount)
    raise ValueError(f"cpu is an amount above 0: {CPU_FORMS}")


def parse_duration(value: object) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: that says what is allowed, unless the value is above 0.
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
    raise ValueError(f"a duration is above 0: {DURATION_FORMS}")


def _match(pattern: re.Pattern[str], value: object) -> re.Match[str] | None:
    """Match the whole of a number or a text; a bool is neither."""
    if isinstance(value, float):
        # Written out in full: 1e9 is a number of bytes as good as 1000000000.
        return pattern.fullmatch(format(Decimal(repr(value)), "f"))
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return pattern.fullmatch(str(value))
    return None
