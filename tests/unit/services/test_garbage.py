import gc

import pytest

from modelops.services.garbage import YOUNG_OBJECTS, collect_as_before, collect_rarely


@pytest.fixture(autouse=True)
def thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_collections_are_rare_until_the_last_one_is_done():
    gc.set_threshold(700, 11, 12)
    collect_rarely()
    collect_rarely()
    assert gc.get_threshold() == (YOUNG_OBJECTS, 11, 12)
    collect_as_before()
    assert gc.get_threshold() == (YOUNG_OBJECTS, 11, 12)
    collect_as_before()
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("wanted", [0, YOUNG_OBJECTS + 1])
def test_what_somebody_wanted_stays(wanted):
    gc.set_threshold(wanted, 11, 12)
    collect_rarely()
    assert gc.get_threshold()[0] == wanted
    collect_as_before()
    assert gc.get_threshold()[0] == wanted
