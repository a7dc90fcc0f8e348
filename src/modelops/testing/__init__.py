"""Contract suites that we ship: a third party's implementation runs them too.

A suite is a class of tests for pytest; subclass it and say how your part is made.
"""

import pytest

# A failing assert of an installed module explains itself only if pytest is told of the module.
pytest.register_assert_rewrite(
    f"{__name__}.algorithms",
    f"{__name__}.provider_plans",
    f"{__name__}.provider_stacks",
    f"{__name__}.service_control",
    f"{__name__}.service_futures",
    f"{__name__}.service_outcomes",
    f"{__name__}.service_suite",
)
