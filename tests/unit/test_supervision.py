"""The guard's rules, with literal times: when a speaker is started, killed, adopted, given up."""

import signal

import pytest

from pyvrrp.core.supervision import (
    Beat,
    Exit,
    Exited,
    GaveUp,
    GiveUp,
    Kill,
    Phase,
    Ready,
    Say,
    Signal,
    Signalled,
    Spawn,
    StopAsked,
    Supervisor,
    TimerExpired,
)

ADOPT, ANEW = Spawn(adopt=True), Spawn(adopt=False)
READY = Ready(guard_timeout=1.0, adoption_time=1.5)
BEAT = Beat(guard_timeout=1.0)
TERM = Signal(signal.SIGTERM)
KILLED = Exited(-signal.SIGKILL)


def do(supervisor, event, now):
    """What is done, without what is said."""
    return [action for action in supervisor.handle(event, now) if not isinstance(action, Say)]


def said(actions):
    return " ".join(action.text for action in actions if isinstance(action, Say))


@pytest.fixture
def first():
    supervisor = Supervisor()
    assert supervisor.begin() == [ANEW]
    return supervisor


@pytest.fixture
def running(first):
    """Ready at 100.0, heard last at 100.0."""
    assert do(first, READY, 100.0) == []
    assert first.deadline == 101.0
    return first


def test_however_long_the_first_start_takes_nobody_interrupts_it(first):
    assert first.deadline is None
    assert do(first, TimerExpired(), 3600.0) == []


@pytest.mark.parametrize(("status", "passed"), [(0, 0), (1, 1), (2, 2), (4, 4), (6, 6), (70, 70), (-11, 139)])
def test_an_exit_before_it_was_ever_ready_is_passed_through(first, status, passed):
    assert first.handle(Exited(status), 1.0) == [Exit(passed)]


def test_each_beat_moves_the_deadline(running):
    assert do(running, BEAT, 100.25) == []
    assert running.deadline == 101.25
    assert do(running, TimerExpired(), 101.2) == []
    assert do(running, Beat(guard_timeout=3.0), 101.2) == []
    assert running.deadline == 104.2


def test_a_dead_speaker_is_started_again_at_once_to_adopt(running):
    actions = running.handle(KILLED, 150.0)
    assert actions[0] == ADOPT
    assert "killed by signal 9" in said(actions)
    assert running.deadline == 151.5
    assert do(running, READY, 150.4) == []
    assert running.phase is Phase.RUNNING


def test_an_exit_status_of_its_own_is_a_fall_too(running):
    actions = running.handle(Exited(70), 150.0)
    assert actions[0] == ADOPT
    assert "ended with status 70" in said(actions)


def test_a_silent_speaker_is_killed_and_adopted_once_it_is_gone(running):
    actions = running.handle(TimerExpired(), 101.0)
    assert actions[0] == Kill()
    assert "silent for 1 s" in said(actions)
    assert do(running, BEAT, 101.01) == [], "a word of a dead man"
    assert do(running, KILLED, 101.02) == [ADOPT]


def test_a_guard_that_was_late_itself_does_not_judge(running):
    """The machine was paused, or both were stopped: the speaker gets a whole timeout to say something."""
    assert do(running, TimerExpired(), 130.0) == []
    assert running.deadline == 131.0
    assert do(running, TimerExpired(), 131.0) == [Kill()]


def test_not_ready_within_half_the_lease_it_is_given_up(running):
    do(running, KILLED, 150.0)
    assert do(running, TimerExpired(), 151.49) == []
    assert do(running, TimerExpired(), 151.5) == [Kill(), GiveUp()]
    assert do(running, GaveUp(), 151.6) == [], "it is not gone yet: never two at once"
    assert do(running, KILLED, 151.7) == []
    assert running.deadline == 152.7
    assert do(running, TimerExpired(), 152.7) == [ANEW]


def test_dead_again_before_it_was_ready_it_is_given_up(running):
    do(running, KILLED, 150.0)
    actions = running.handle(Exited(1), 150.3)
    assert GiveUp() in actions
    assert "before it was ready" in said(actions)


def test_falling_again_within_ten_seconds_it_is_given_up(running):
    do(running, KILLED, 150.0)
    do(running, READY, 150.5)
    assert do(running, KILLED, 160.4) == [GiveUp()]
    assert do(running, GaveUp(), 160.5) == []
    assert running.deadline == 161.5
    assert do(running, TimerExpired(), 161.5) == [ANEW]


def test_falling_again_after_ten_seconds_it_is_adopted(running):
    do(running, KILLED, 150.0)
    do(running, READY, 150.5)
    assert do(running, KILLED, 160.6) == [ADOPT]


def test_the_first_fall_is_adopted_however_young_it_is(running):
    assert do(running, KILLED, 100.1) == [ADOPT]


def test_the_pauses_grow_and_given_up_ten_times_in_ten_minutes_the_guard_ends(running):
    now, pauses = 200.0, []
    assert do(running, KILLED, now) == [ADOPT]
    for _ in range(9):
        now += 0.5
        assert do(running, Exited(1), now) == [GiveUp()]
        assert do(running, GaveUp(), now) == []
        pauses.append(running.deadline - now)
        now = running.deadline
        assert do(running, TimerExpired(), now) == [ANEW]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    actions = running.handle(Exited(1), now + 0.5)
    assert GiveUp() in actions
    assert "given up 10 times within 10 minutes" in said(actions)
    assert do(running, GaveUp(), now + 0.6) == [Exit(70)]


def test_falls_that_cost_nothing_have_no_limit(running):
    now = 1000.0
    for _ in range(30):
        assert do(running, KILLED, now) == [ADOPT]
        assert do(running, READY, now + 0.4) == []
        now += 11.0


def test_being_given_up_is_forgotten_after_ten_minutes(running):
    now = 1000.0
    for _ in range(30):
        assert do(running, KILLED, now) == [ADOPT]
        assert do(running, Exited(1), now + 0.1) == [GiveUp()]
        assert do(running, GaveUp(), now + 0.2) == []
        assert do(running, TimerExpired(), running.deadline) == [ANEW]
        assert do(running, READY, now + 60.0) == []
        now += 100.0  # six in ten minutes


def test_started_anew_it_has_a_minute(running):
    do(running, KILLED, 150.0)
    do(running, Exited(1), 150.1)
    do(running, GaveUp(), 150.2)
    assert do(running, TimerExpired(), 151.2) == [ANEW]
    assert running.deadline == 211.2
    assert do(running, TimerExpired(), 211.2) == [Kill(), GiveUp()]


def test_a_killed_process_that_does_not_end_loses_its_role_all_the_same(running):
    assert do(running, TimerExpired(), 101.0) == [Kill()]
    assert do(running, TimerExpired(), 102.0) == [GiveUp()]
    assert do(running, GaveUp(), 102.1) == []
    assert running.deadline is None
    assert do(running, KILLED, 900.0) == []
    assert running.deadline == 901.0


def test_a_planned_restart_is_adopted_and_is_no_fall(running):
    for now in (101.0, 103.0, 105.0):
        assert do(running, Exited(75), now) == [ADOPT]
        assert do(running, READY, now + 0.4) == []
    assert do(running, KILLED, 107.0) == [ADOPT]


def test_after_a_planned_restart_the_first_fall_is_adopted_whatever_was_before(running):
    """Other code, another configuration: what fell before says nothing about it."""
    assert do(running, KILLED, 150.0) == [ADOPT]
    do(running, READY, 150.4)
    assert do(running, Exited(75), 155.0) == [ADOPT]
    do(running, READY, 155.4)
    assert do(running, KILLED, 160.0) == [ADOPT]
    do(running, READY, 160.4)
    assert do(running, KILLED, 165.0) == [GiveUp()]


def test_a_planned_restart_that_fails_is_given_up(running):
    do(running, Exited(75), 101.0)
    assert do(running, Exited(2), 101.3) == [GiveUp()]


# --- stopping --------------------------------------------------------------------------------------------------------


def test_stop_is_handed_on_and_its_status_is_ours(running):
    assert running.handle(StopAsked(), 150.0) == [TERM]
    do(running, BEAT, 150.1)
    assert running.handle(Exited(0), 150.2) == [Exit(0)]


def test_stopped_directly_the_speaker_takes_the_guard_along(running):
    assert running.handle(Exited(0), 150.0) == [Exit(0)]


def test_a_speaker_that_hangs_while_it_leaves_is_killed_and_undone(running):
    do(running, StopAsked(), 100.5)
    assert do(running, TimerExpired(), 101.0) == [Kill()]
    assert do(running, KILLED, 101.1) == [GiveUp()]
    assert do(running, GaveUp(), 101.2) == [Exit(70)]


def test_a_speaker_that_dies_while_it_leaves_is_undone(running):
    do(running, StopAsked(), 100.5)
    assert do(running, Exited(-6), 100.6) == [GiveUp()]
    assert do(running, GaveUp(), 100.7) == [Exit(70)]


def test_stopped_while_it_restarts_what_it_left_is_undone(running):
    do(running, StopAsked(), 100.5)
    assert do(running, Exited(75), 100.6) == [GiveUp()]
    assert do(running, GaveUp(), 100.7) == [Exit(0)]


def test_stop_during_the_first_start(first):
    assert first.handle(StopAsked(), 1.0) == [TERM]
    assert first.handle(Exited(-signal.SIGTERM), 1.1) == [Exit(0)]


def test_stop_waits_for_a_speaker_that_adopts_to_listen(running):
    do(running, KILLED, 150.0)
    assert running.handle(StopAsked(), 150.1) == []
    assert running.handle(READY, 150.4) == [TERM]
    assert running.handle(Exited(0), 150.5) == [Exit(0)]


def test_stop_while_it_adopts_in_vain(running):
    do(running, KILLED, 150.0)
    do(running, StopAsked(), 150.1)
    assert do(running, Exited(1), 150.4) == [GiveUp()]
    assert do(running, GaveUp(), 150.5) == [Exit(70)]


def test_stop_in_the_pause_and_while_things_are_given_back(running):
    do(running, KILLED, 150.0)
    do(running, Exited(1), 150.1)
    assert do(running, StopAsked(), 150.15) == []
    assert do(running, GaveUp(), 150.2) == [Exit(70)]


def test_stop_in_the_pause(running):
    do(running, KILLED, 150.0)
    do(running, Exited(1), 150.1)
    do(running, GaveUp(), 150.2)
    assert running.handle(StopAsked(), 150.3) == [Exit(0)]


# --- signals ---------------------------------------------------------------------------------------------------------


def test_signals_are_handed_on(running):
    assert running.handle(Signalled(signal.SIGHUP), 150.0) == [Signal(signal.SIGHUP)]


def test_signals_that_would_kill_a_starting_speaker_wait_until_it_is_ready(running):
    do(running, KILLED, 150.0)
    assert running.handle(Signalled(signal.SIGHUP), 150.1) == []
    assert running.handle(READY, 150.4) == [Signal(signal.SIGHUP)]


def test_signals_in_the_pause_are_moot(running):
    do(running, KILLED, 150.0)
    do(running, Signalled(signal.SIGHUP), 150.05)
    do(running, Exited(1), 150.1)
    do(running, GaveUp(), 150.2)
    assert running.handle(Signalled(signal.SIGUSR1), 150.3) == []
    do(running, TimerExpired(), 151.2)
    assert running.handle(READY, 151.6) == []


# --- the operator's word ---------------------------------------------------------------------------------------------


def given_up_often(running):
    """Waiting for the end of the longest back-off; returns the time."""
    now = 200.0
    do(running, KILLED, now)
    for _ in range(6):
        do(running, Exited(1), now + 0.1)
        do(running, GaveUp(), now + 0.2)
        pause, now = running.deadline - (now + 0.2), running.deadline
        if pause == 30.0:
            return now - 29.0
        do(running, TimerExpired(), now)
    raise AssertionError("no such pause")


def test_told_to_reload_in_the_pause_it_starts_at_once_and_the_pauses_begin_anew(running):
    now = given_up_often(running)
    assert do(running, Signalled(signal.SIGHUP), now) == [ANEW]
    assert running.deadline == now + 60.0
    assert do(running, Signalled(signal.SIGHUP), now + 0.1) == []
    assert do(running, Exited(1), now + 0.5) == [GiveUp()]
    assert do(running, GaveUp(), now + 0.6) == []
    assert running.deadline == pytest.approx(now + 1.6)


def test_told_to_reload_while_things_are_given_back_the_pause_is_the_shortest(running):
    now = given_up_often(running) + 29.0
    do(running, TimerExpired(), now)
    assert do(running, Exited(1), now + 0.1) == [GiveUp()]
    assert do(running, Signalled(signal.SIGHUP), now + 0.2) == []
    assert do(running, GaveUp(), now + 0.3) == []
    assert running.deadline == pytest.approx(now + 1.3)


def test_a_planned_restart_that_fails_does_not_pay_for_earlier_falls(running):
    now = given_up_often(running) + 29.0
    do(running, TimerExpired(), now)
    do(running, READY, now + 1.0)
    assert do(running, Exited(75), now + 2.0) == [ADOPT]
    assert do(running, Exited(1), now + 2.1) == [GiveUp()]
    assert do(running, GaveUp(), now + 2.2) == []
    assert running.deadline == pytest.approx(now + 3.2)
