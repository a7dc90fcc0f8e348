"""Quantities as the API server writes them."""

import pytest

from modelops.providers.kubernetes.quantities import cpu_quantity, memory_quantity


@pytest.mark.parametrize(
    ("cores", "text"), [(4.0, "4"), (0.5, "500m"), (1.25, "1250m"), (0.0001, "1m")]
)
def test_cores(cores: float, text: str) -> None:
    assert cpu_quantity(cores) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (16 * 2**30, "16Gi"),
        (3 * 2**29, "1536Mi"),
        (10**9, "1G"),
        (1_500_000, "1500k"),
        (2**40, "1Ti"),
        (1_000_001, "1000001"),
    ],
)
def test_memory(size: int, text: str) -> None:
    assert memory_quantity(size) == text
