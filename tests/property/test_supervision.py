"""Whatever happens, in whatever order: one speaker at a time, nothing after the end, nothing left behind."""

from hypothesis import given
from hypothesis import strategies as st

from pyvrrp.core.supervision import (
    Beat,
    Exit,
    Exited,
    GaveUp,
    GiveUp,
    Kill,
    Phase,
    Ready,
    Signal,
    Signalled,
    Spawn,
    StopAsked,
    Supervisor,
    TimerExpired,
)

STATUSES = [0, 1, 2, 70, 75, -6, -9, -11, -15]
HAPPENINGS = st.one_of(
    st.just(Ready(1.0, 1.5)),
    st.just(Beat(1.0)),
    st.just(StopAsked()),
    st.just(Signalled(1)),
    st.just(GaveUp()),
    st.builds(Exited, st.sampled_from(STATUSES)),
    st.just(TimerExpired()),
    st.just("at the deadline"),
)
STORIES = st.lists(st.tuples(HAPPENINGS, st.floats(0.0, 20.0)), max_size=80)


@given(STORIES)
def test_whatever_happens(story):
    supervisor, now = Supervisor(), 1000.0
    alive, giving_up, role, ended = False, False, False, False

    def perform(actions):
        nonlocal alive, giving_up, role, ended
        for action in actions:
            assert not ended, "nothing comes after Exit"
            match action:
                case Spawn():
                    assert not alive, "two speakers at once"
                    assert not giving_up, "started while the role is being given up"
                    assert action.adopt or not role, "a role that was neither adopted nor given up"
                    alive = True
                case Kill() | Signal():
                    assert alive
                case GiveUp():
                    assert not giving_up
                    giving_up = True
                case Exit():
                    assert not alive
                    assert not giving_up
                    assert not role, "it ended with a role that was neither released nor given up"
                    ended = True

    perform(supervisor.begin())
    for event, seconds in story:
        now += seconds
        if event == "at the deadline":
            if supervisor.deadline is None:
                continue
            now, event = max(now, supervisor.deadline), TimerExpired()
        match event:
            case Exited():
                if not alive:
                    continue
                alive = False
                role = role and event.status != 0
            case GaveUp():
                if not giving_up:
                    continue
                giving_up = role = False
            case Ready() if alive and supervisor.phase is not Phase.RUNNING:
                role = supervisor.phase in (Phase.FIRST, Phase.ADOPTING, Phase.STARTING) or role
        perform(supervisor.handle(event, now))
        assert ended == (supervisor.phase is Phase.ENDED)


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60))
def test_a_speaker_that_keeps_dying_ends_the_guard_or_is_running(pauses):
    """There is no state in which the guard waits for nothing."""
    supervisor, now = Supervisor(), 0.0
    supervisor.begin()
    supervisor.handle(Ready(1.0, 1.5), now)
    for pause in pauses:
        now += pause
        match supervisor.phase:
            case Phase.ENDED:
                return
            case Phase.GIVEN_UP:
                actions = supervisor.handle(GaveUp(), now)
            case Phase.WAITING:
                now = supervisor.deadline
                actions = supervisor.handle(TimerExpired(), now)
                assert actions == [Spawn(adopt=False)]
            case _:
                actions = supervisor.handle(Exited(-9), now)
        assert supervisor.deadline is not None or supervisor.phase in (Phase.GIVEN_UP, Phase.ENDED), actions
