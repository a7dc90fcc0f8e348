import gc
import signal

import pytest

from modelops.core.interrupts import interrupt_noted


class Interrupted:
    """Is interrupted where Python can't raise: while an object is finalized."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def handler():
    """Let SIGINT mean what it does in a program of one's own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_where_interrupts_are_ignored_they_stay_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupt_noted() as noted:
        signal.raise_signal(signal.SIGINT)
    assert not noted.is_set()


def test_an_interrupt_is_noted_wherever_it_comes():
    before = signal.getsignal(signal.SIGINT)
    with interrupt_noted() as noted:
        Interrupted()
        gc.collect()
        assert noted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
