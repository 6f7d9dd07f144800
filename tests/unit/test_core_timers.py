"""The timers of a virtual router."""

from pyvrrp.core.timers import Timer, Timers


def test_those_that_are_due_come_in_the_order_of_their_times_and_are_stopped():
    timers = Timers({Timer.GARP: 3.0, Timer.ADVER: 2.0, Timer.GATE: 60.0})
    assert list(timers.due(3.0)) == [(Timer.ADVER, 2.0), (Timer.GARP, 3.0)]
    assert timers == {Timer.GATE: 60.0}
    assert timers.deadline == 60.0


def test_what_an_earlier_one_cancels_or_moves_does_not_expire():
    timers = Timers({Timer.ADVER: 1.0, Timer.GARP: 2.0, Timer.GATE: 3.0})
    for timer, _ in timers.due(10.0):
        assert timer is Timer.ADVER
        del timers[Timer.GARP]
        timers[Timer.GATE] = 70.0
    assert timers == {Timer.GATE: 70.0}
