"""A virtual router with gates: the address follows the service (waiting, acquiring, serving, releasing)."""

from ipaddress import IPv4Address as A

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AcquireAddresses,
    AdvertisementReceived,
    AnnounceAddresses,
    CloseGates,
    GatesBegun,
    GatesClosed,
    GatesFailed,
    GatesHindered,
    GatesOpened,
    Hindrance,
    OpenGates,
    Phase,
    Reason,
    ReleaseAddresses,
    SendAdvertisement,
    Shutdown,
    Startup,
    State,
    TimerExpired,
    TrackingChanged,
    Transition,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.timers import Timer
from pyvrrp.core.virtual_router import VirtualRouter

TAKEOVER = 3.609375


@pytest.fixture
def router() -> VirtualRouter:
    router = VirtualRouter(Parameters(vrid=51, gated=True, garp_master_delay=0), source=A("192.0.2.11"))
    router.handle(Startup(), now=0.0)
    return router


@pytest.fixture
def waiting(router):
    assert router.handle(TimerExpired(), now=TAKEOVER) == [OpenGates()]
    return router


@pytest.fixture
def acquiring(waiting):
    assert waiting.handle(GatesBegun(), now=TAKEOVER) == [SendAdvertisement(100)]
    return waiting


@pytest.fixture
def serving(acquiring):
    acquiring.handle(GatesOpened(), now=4.0)
    return acquiring


def heard(priority: int) -> AdvertisementReceived:
    return AdvertisementReceived(Advertisement(2, 51, priority, 1.0, ()), A("192.0.2.12"))


def test_who_heard_nobody_says_nothing_before_its_gates_begin(waiting):
    assert (waiting.state, waiting.phase) == (State.MASTER, Phase.WAITING)
    assert waiting.deadline == TAKEOVER + 60, "the gates, no advertisement"
    assert waiting.reconfigure(Parameters(vrid=51, gated=True, priority=120), now=5.0) == []
    assert waiting.handle(GatesBegun(), now=7.2) == [SendAdvertisement(120)]
    assert waiting.phase is Phase.ACQUIRING
    assert waiting.handle(GatesBegun(), now=7.3) == []


def test_gates_that_are_hindered_again_silence_it_again(acquiring):
    """The promotion was allowed and has failed: the peer is Primary, and lives."""
    assert acquiring.handle(GatesHindered(Hindrance.HOLDER), now=5.0) == []
    assert (acquiring.phase, acquiring.deadline) == (Phase.WAITING, TAKEOVER + 60)
    assert acquiring.handle(heard(50), now=6.0)[-1].reason is Reason.HEARD


def test_who_serves_is_waited_for_without_an_end(waiting):
    """Out of earshot of its clients' network, not of DRBD's: should it die, it is taken over from at once."""
    waiting.handle(GatesHindered(Hindrance.HOLDER), now=4.0)
    assert waiting.handle(TimerExpired(), now=TAKEOVER + 60) == []
    assert waiting.phase is Phase.WAITING
    assert waiting.handle(GatesBegun(), now=100.0) == [SendAdvertisement(100)]
    assert waiting.timers[Timer.GATE] == 160.0


def test_one_that_can_not_be_seen_is_not_waited_for_for_ever(waiting):
    """Nobody may serve at all, and somebody has to come and look: FAULT tells."""
    waiting.handle(GatesHindered(Hindrance.HOLDER), now=4.0)
    waiting.handle(GatesHindered(Hindrance.UNSEEN), now=5.0)
    assert waiting.handle(TimerExpired(), now=TAKEOVER + 60) == [CloseGates()]


def test_who_preempts_is_heard_although_its_gates_are_hindered(router):
    """By whom it preempts, who will then let go."""
    router.handle(heard(50), now=1.0)
    router.handle(TimerExpired(), now=router.deadline)
    began = router.since
    assert router.handle(GatesHindered(Hindrance.HOLDER), now=began) == []
    assert router.handle(TimerExpired(), now=router.deadline) == [SendAdvertisement(100)]
    assert CloseGates() in router.handle(TimerExpired(), now=began + 60), "it does not let go"


def test_who_preempts_one_that_can_not_be_seen_any_more_lets_it_be(router):
    """The network was cut in between: it may not hear us, and when it does again it is to serve on."""
    router.handle(heard(50), now=1.0)
    router.handle(TimerExpired(), now=router.deadline)
    assert router.handle(GatesHindered(Hindrance.UNSEEN), now=router.since) == []
    assert router.phase is Phase.WAITING
    assert router.handle(heard(50), now=router.since + 1)[-1].reason is Reason.HEARD


def test_who_is_heard_again_serves_on_whatever_the_priorities(waiting):
    assert waiting.handle(heard(50), now=5.0) == [
        CloseGates(),
        Transition(State.BACKUP, State.BACKUP, Reason.HEARD, "192.0.2.12 advertises priority 50"),
    ]
    assert waiting.handle(GatesBegun(), now=5.1) == []


def test_who_serves_and_leaves_while_another_one_waits_is_not_answered(waiting):
    assert waiting.handle(heard(0), now=5.0) == []
    assert waiting.phase is Phase.WAITING


def test_gates_that_fail_before_they_begin_leave_no_priority_zero(waiting):
    """Who hears one takes its sender for alive, and for one that has served."""
    assert waiting.handle(GatesFailed("drbd0: Outdated"), now=5.0) == [CloseGates()]
    assert waiting.deadline == 65.0
    assert waiting.handle(GatesClosed(), now=6.0) == [
        Transition(State.BACKUP, State.FAULT, Reason.GATE_FAILED, "drbd0: Outdated")
    ]


@pytest.mark.parametrize(
    ("said", "reason"), [(50, Reason.PREEMPTION), (0, Reason.PRIORITY_ZERO)], ids=lambda each: str(each)
)
def test_who_takes_over_from_somebody_says_so_at_once(router, said, reason):
    """The one has to hear that it is to leave, of the other one it is known that it has left."""
    router.handle(heard(said), now=1.0)
    assert router.handle(TimerExpired(), now=router.deadline) == [SendAdvertisement(100), OpenGates()]
    assert (router.phase, router.reason) == (Phase.ACQUIRING, reason)


def test_advertises_while_it_acquires_and_has_no_addresses_yet(acquiring):
    assert (acquiring.state, acquiring.phase) == (State.MASTER, Phase.ACQUIRING)
    assert not acquiring.serving
    assert acquiring.handle(TimerExpired(), now=TAKEOVER + 1) == [SendAdvertisement(100)]


def test_addresses_come_after_the_gates_and_scripts_after_the_addresses(acquiring):
    assert acquiring.handle(GatesOpened(), now=4.0) == [
        AcquireAddresses(),
        AnnounceAddresses(5),
        Transition(State.BACKUP, State.MASTER, Reason.MASTER_DOWN, "3.609 s"),
    ]
    assert acquiring.serving


def test_a_lower_priority_is_answered_but_nothing_is_announced_before_serving(acquiring):
    actions = acquiring.handle(heard(50), now=4.0)
    assert SendAdvertisement(100) in actions
    assert not any(isinstance(action, AnnounceAddresses) for action in actions)


def test_a_gate_that_fails_is_undone_then_priority_zero_then_fault(acquiring):
    assert acquiring.handle(GatesFailed("drbd0: Outdated"), now=5.0) == [CloseGates()]
    assert acquiring.phase is Phase.RELEASING
    assert acquiring.handle(GatesClosed(), now=6.0) == [
        SendAdvertisement(0),
        Transition(State.BACKUP, State.FAULT, Reason.GATE_FAILED, "drbd0: Outdated"),  # nobody was told of MASTER
    ]
    assert acquiring.deadline == 36.0


def test_the_gate_that_failed_stays_the_reason_whatever_the_trackers_say_meanwhile(acquiring):
    acquiring.handle(GatesFailed("drbd0: Outdated"), now=5.0)
    acquiring.handle(TrackingChanged(weight=-10), now=5.5)
    told = acquiring.handle(GatesClosed(), now=6.0)[-1]
    assert told == Transition(State.BACKUP, State.FAULT, Reason.GATE_FAILED, "drbd0: Outdated")


def test_a_higher_priority_while_it_acquires_is_told_as_backup_again(acquiring):
    assert acquiring.handle(heard(150), now=5.0) == [
        CloseGates(),
        Transition(State.BACKUP, State.BACKUP, Reason.HIGHER_PRIORITY, "192.0.2.12 advertises priority 150"),
    ]


def test_after_the_cool_down_it_listens_before_it_tries_again(acquiring):
    acquiring.handle(GatesFailed("drbd0: Outdated"), now=5.0)
    acquiring.handle(GatesClosed(), now=6.0)
    acquiring.handle(TimerExpired(), now=36.0)
    assert acquiring.state is State.BACKUP
    assert acquiring.deadline == 36.0 + TAKEOVER


def test_a_gate_that_never_answers_counts_as_failed(acquiring):
    now = TAKEOVER
    while now < TAKEOVER + 60:
        now = acquiring.deadline
        actions = acquiring.handle(TimerExpired(), now)
    assert now == TAKEOVER + 60
    assert CloseGates() in actions
    acquiring.handle(GatesClosed(), now=64.0)
    assert acquiring.state is State.FAULT
    assert "within 60 s" in acquiring.detail


def test_leaving_is_break_before_make(serving):
    assert serving.handle(Shutdown(), now=4.2) == [ReleaseAddresses(), CloseGates()]
    assert serving.state is State.MASTER
    assert serving.handle(TimerExpired(), now=5.0) == [SendAdvertisement(100)]
    assert serving.handle(GatesClosed(), now=12.0) == [
        SendAdvertisement(0),
        Transition(State.MASTER, State.INIT, Reason.SHUTDOWN),
    ]


def test_a_fault_releases_before_priority_zero(serving):
    assert serving.handle(TrackingChanged(faults=("dns failed",)), now=6.0) == [ReleaseAddresses(), CloseGates()]
    assert serving.handle(GatesClosed(), now=7.0)[0] == SendAdvertisement(0)
    assert serving.state is State.FAULT


def test_a_fault_that_goes_while_releasing_ends_in_backup(serving):
    serving.handle(TrackingChanged(faults=("dns failed",)), now=6.0)
    serving.handle(TrackingChanged(), now=6.5)
    serving.handle(GatesClosed(), now=7.0)
    assert serving.state is State.BACKUP


def test_shutdown_while_releasing_for_a_fault_still_shuts_down(serving):
    serving.handle(TrackingChanged(faults=("dns failed",)), now=6.0)
    assert serving.handle(Shutdown(), now=6.5) == []
    serving.handle(TrackingChanged(), now=6.7)
    serving.handle(GatesClosed(), now=7.0)
    assert serving.state is State.INIT


def test_yielding_to_a_higher_priority_gives_everything_back_at_once(serving):
    assert serving.handle(heard(150), now=4.5) == [
        SendAdvertisement(100),
        ReleaseAddresses(),
        CloseGates(),
        Transition(State.MASTER, State.BACKUP, Reason.HIGHER_PRIORITY, "192.0.2.12 advertises priority 150"),
    ]


def test_nothing_distracts_a_router_that_is_releasing(serving):
    serving.handle(Shutdown(), now=6.0)
    assert serving.handle(heard(150), now=6.2) == []
    assert serving.handle(GatesOpened(), now=6.3) == []
    assert serving.handle(GatesFailed("late"), now=6.4) == []
    assert serving.state is State.MASTER


def test_a_release_that_never_answers_does_not_hold_the_address_hostage(serving):
    serving.handle(Shutdown(), now=6.0)
    now = 10.0
    while serving.state is State.MASTER:
        now = serving.deadline
        actions = serving.handle(TimerExpired(), now)
    assert now == 66.0
    assert SendAdvertisement(0) in actions


def test_a_start_while_releasing_does_not_cut_the_release_short(serving):
    serving.handle(Shutdown(), now=6.0)
    assert serving.handle(Startup(), now=6.5) == []
    assert serving.handle(GatesClosed(), now=8.0)[0] == SendAdvertisement(0)
    assert serving.state is State.INIT


def test_a_new_start_forgets_the_gate_that_failed(acquiring):
    acquiring.handle(GatesFailed("drbd0: Outdated"), now=5.0)
    acquiring.handle(GatesClosed(), now=6.0)
    acquiring.handle(Shutdown(), now=7.0)
    acquiring.handle(Startup(), now=8.0)
    assert acquiring.state is State.BACKUP


def test_gates_that_a_reload_takes_away_are_still_closed(serving):
    serving.reconfigure(Parameters(vrid=51, garp_master_delay=0), now=10.0)
    assert serving.handle(Shutdown(), now=11.0) == [ReleaseAddresses(), CloseGates()]


def test_gates_that_a_reload_brings_are_opened_at_the_next_takeover():
    router = VirtualRouter(Parameters(vrid=51), source=A("192.0.2.11"))
    router.handle(Startup(), now=0.0)
    router.handle(TimerExpired(), now=TAKEOVER)
    router.reconfigure(Parameters(vrid=51, gated=True), now=10.0)
    assert ReleaseAddresses(after=0.02) in router.handle(heard(150), now=11.0)
    assert router.handle(TimerExpired(), now=11.0 + TAKEOVER) == [OpenGates()]
