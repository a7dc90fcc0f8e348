from modelops.worker.group_load import WantedSlots


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_clients_want_is_added_up_and_forgotten_after_seconds():
    clock = Clock()
    wanted = WantedSlots(clock)
    assert wanted.tell("cpu", "a", 3)
    wanted.tell("cpu", "a", 2)
    wanted.tell("cpu", "b", 5)
    wanted.tell("gpu", "a", 1)
    assert (wanted.of("cpu"), wanted.of("gpu"), wanted.of("none")) == (7, 1, 0)
    clock.now = 4.0
    wanted.tell("cpu", "b", 0)
    clock.now = 6.0
    assert (wanted.of("cpu"), wanted.of("gpu")) == (0, 0)
