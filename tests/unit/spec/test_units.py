import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.spec.units import parse_cpu, parse_duration, parse_memory

MEMORY_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@given(st.integers(1, 10**6), st.sampled_from(sorted(MEMORY_UNITS)))
def test_memory_is_a_number_times_its_unit(number: int, unit: str) -> None:
    assert parse_memory(f"{number}{unit}") == number * MEMORY_UNITS[unit]


@given(st.integers(1, 10**15 - 1))
def test_plain_bytes_stay_as_they_are(number: int) -> None:
    assert parse_memory(number) == parse_memory(str(number)) == number


@pytest.mark.parametrize(
    ("text", "expected"), [("1.5Gi", 3 * 2**29), ("0.5k", 500), (2e9, 2 * 10**9), ("16Gi", 2**34)]
)
def test_memory_may_have_a_fraction_that_is_whole_in_bytes(text: object, expected: int) -> None:
    assert parse_memory(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        "0",
        "-1Gi",
        "16GB",
        "16gi",
        "1.5",
        "1 Gi",
        "",
        "Gi",
        True,
        None,
        "0x10",
        "1_000",
        "\u0661Gi",
    ],
)
def test_wrong_memory_says_what_is_allowed(value: object) -> None:
    with pytest.raises(ValueError, match=r"whole number of bytes above 0.*16Gi"):
        parse_memory(value)


@given(st.integers(1, 10**6))
def test_thousandths_of_a_core(number: int) -> None:
    assert parse_cpu(f"{number}m") == number / 1000


@given(st.floats(0.001, 10**6))
def test_cores_as_numbers(number: float) -> None:
    number = round(number, 6)
    assert parse_cpu(number) == parse_cpu(f"{number:.6f}") == number


@pytest.mark.parametrize("value", [0, "0m", "-1", "4 cores", "4M", True, None, math.nan, math.inf])
def test_wrong_cpu_says_what_is_allowed(value: object) -> None:
    with pytest.raises(ValueError, match=r'above 0.*"500m"'):
        parse_cpu(value)


@given(
    st.tuples(*(st.none() | st.integers(0, 10**4) for _ in range(5))).filter(
        lambda parts: any(part for part in parts)
    )
)
def test_a_duration_is_the_sum_of_its_parts(parts: tuple[int | None, ...]) -> None:
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    chosen = [(part, *unit) for part, unit in zip(parts, units, strict=True) if part is not None]
    text = "".join(f"{part}{name}" for part, name, _ in chosen)
    assert parse_duration(text) == sum(part * size for part, _, size in chosen) / 1000


@pytest.mark.parametrize(
    ("text", "expected"), [("10m", 600), ("8h", 28800), ("1h30m", 5400), ("1.5h", 5400), (90, 90)]
)
def test_durations_as_people_write_them(text: object, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "value",
    [0, "", "0s", "-5s", "10 minutes", "30m1h", "1h1h", "1:30", "5x", False, None, math.inf],
)
def test_a_wrong_duration_says_what_is_allowed(value: object) -> None:
    with pytest.raises(ValueError, match=r'a duration is above 0.*"1h30m"'):
        parse_duration(value)


@given(ANYTHING)
def test_anything_is_a_finite_amount_above_zero_or_an_error(value: object) -> None:
    for parse in (parse_memory, parse_cpu, parse_duration):
        try:
            amount = parse(value)
        except ValueError:
            continue
        assert 0 < amount < math.inf
