"""A virtual router with gates: the address follows the service (acquiring, serving, releasing)."""

from ipaddress import IPv4Address as A

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AcquireAddresses,
    AdvertisementReceived,
    AnnounceAddresses,
    CloseGates,
    GatesClosed,
    GatesFailed,
    GatesOpened,
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
from pyvrrp.core.virtual_router import VirtualRouter

TAKEOVER = 3.609375


@pytest.fixture
def router() -> VirtualRouter:
    router = VirtualRouter(Parameters(vrid=51, gated=True, garp_master_delay=0), source=A("192.0.2.11"))
    router.handle(Startup(), now=0.0)
    return router


@pytest.fixture
def acquiring(router):
    assert router.handle(TimerExpired(), now=TAKEOVER) == [SendAdvertisement(100), OpenGates()]
    return router


@pytest.fixture
def serving(acquiring):
    acquiring.handle(GatesOpened(), now=4.0)
    return acquiring


def heard(priority: int) -> AdvertisementReceived:
    return AdvertisementReceived(Advertisement(2, 51, priority, 1.0, ()), A("192.0.2.12"))


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
    assert router.handle(TimerExpired(), now=11.0 + TAKEOVER) == [SendAdvertisement(100), OpenGates()]
