"""Which attempt a run's Job is to be."""

from typing import Any

import pytest

from modelops.providers.kubernetes.attempts import ATTEMPT, attempt_of


def job(attempt: int | None, *conditions: tuple[str, str]) -> dict[str, Any]:
    metadata = {} if attempt is None else {"annotations": {ATTEMPT: str(attempt)}}
    status = {"conditions": [{"type": kind, "status": is_so} for kind, is_so in conditions]}
    return {"spec": {"template": {"metadata": metadata}}, "status": status}


@pytest.mark.parametrize(
    ("item", "attempt"),
    [
        (None, 1),
        (job(1), 1),
        (job(3), 3),
        (job(2, ("Failed", "True")), 3),
        (job(None, ("Failed", "True")), 2),
        (job(2, ("Failed", "False")), 2),
        (job(2, ("FailureTarget", "True")), 2),
        (job(2, ("Complete", "True")), 2),
    ],
)
def test_only_a_run_that_failed_is_begun_anew(item: Any, attempt: int) -> None:
    assert attempt_of(item) == attempt
