"""vrrp_sync_group: members move together (keepalived 2.15)."""

from ipaddress import IPv4Address as A

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AdvertisementReceived,
    AnnounceAddresses,
    GatesBegun,
    GatesClosed,
    GatesOpened,
    Phase,
    Reason,
    ReleaseAddresses,
    SendAdvertisement,
    Startup,
    State,
    Switchover,
    TimerExpired,
    TrackingChanged,
    Transition,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.sync_group import Step, SyncGroup
from pyvrrp.core.virtual_router import VirtualRouter


def heard(priority: int, vrid: int) -> AdvertisementReceived:
    return AdvertisementReceived(Advertisement(2, vrid, priority, 1.0, ()), A("192.0.2.12"))


@pytest.fixture
def group() -> SyncGroup:
    members = {
        name: VirtualRouter(Parameters(vrid=vrid, in_sync_group=True), source=A("192.0.2.11"))
        for name, vrid in (("OUT", 1), ("IN", 2))
    }
    group = SyncGroup("G", members)
    for name in members:
        group.handle(name, Startup(), now=0.0)
    return group


@pytest.fixture
def masters(group) -> SyncGroup:
    group.handle("OUT", TimerExpired(), now=3.7)
    group.handle("IN", TimerExpired(), now=3.7)
    return group


def states(group) -> list[State]:
    return [router.state for router in group.members.values()]


def test_the_group_starts_as_backup(group):
    assert group.state is State.BACKUP


def test_no_member_is_master_before_all_want_it(group):
    assert group.handle("OUT", TimerExpired(), now=3.7) == []
    assert states(group) == [State.BACKUP, State.BACKUP]
    steps = group.handle("IN", TimerExpired(), now=3.7)
    assert states(group) == [State.MASTER, State.MASTER]
    assert steps[-1] == Step(None, Transition(State.BACKUP, State.MASTER, Reason.SYNC_GROUP))
    assert [step.member for step in steps if step.action == SendAdvertisement(100)] == ["OUT", "IN"]


def test_a_member_that_hears_a_master_again_wants_it_no_longer(group):
    group.handle("OUT", TimerExpired(), now=3.7)
    group.handle("OUT", heard(150, 1), now=3.75)
    assert group.handle("IN", TimerExpired(), now=3.8) == []
    assert states(group) == [State.BACKUP, State.BACKUP]


def test_a_waiting_member_asks_again(group):
    group.handle("OUT", TimerExpired(), now=3.7)
    assert group.members["OUT"].deadline == pytest.approx(3.7 + 3.609375)


def test_one_member_that_yields_takes_all_to_backup(masters):
    steps = masters.handle("OUT", heard(150, 1), now=5.0)
    assert states(masters) == [State.BACKUP, State.BACKUP]
    assert Step("IN", ReleaseAddresses()) in steps
    assert Step("IN", SendAdvertisement(0)) not in steps
    assert steps[-1].member is None


def test_one_member_in_fault_puts_all_in_fault_with_priority_zero(masters):
    steps = masters.handle("IN", TrackingChanged(faults=("eth1 is down",)), now=5.0)
    assert states(masters) == [State.FAULT, State.FAULT]
    assert Step("OUT", SendAdvertisement(0)) in steps
    assert masters.members["OUT"].faults == ("IN of the sync group is in FAULT",)
    assert masters.state is State.FAULT


def test_all_recover_with_the_last_own_fault(masters):
    masters.handle("IN", TrackingChanged(faults=("eth1 is down",)), now=5.0)
    masters.handle("OUT", TrackingChanged(faults=("eth0 is down",)), now=5.5)
    masters.handle("IN", TrackingChanged(), now=6.0)
    assert states(masters) == [State.FAULT, State.FAULT]
    masters.handle("OUT", TrackingChanged(), now=7.0)
    assert states(masters) == [State.BACKUP, State.BACKUP]
    assert masters.members["IN"].faults == ()


def test_a_lower_priority_heard_by_one_makes_all_announce(masters):
    steps = masters.handle("OUT", heard(50, 1), now=5.0)
    assert Step("IN", AnnounceAddresses(5)) in steps


def test_a_pending_member_holds_the_group_back():
    members = {
        name: VirtualRouter(Parameters(vrid=vrid, in_sync_group=True), source=A("192.0.2.11"))
        for name, vrid in (("OUT", 1), ("IN", 2))
    }
    group = SyncGroup("G", members)
    group.handle("IN", TrackingChanged(pending=("script chk",)), now=0.0)
    for name in members:
        group.handle(name, Startup(), now=0.0)
    group.handle("OUT", TimerExpired(), now=3.7)
    assert states(group) == [State.BACKUP, State.INIT]


def test_a_switchover_of_all_members_goes_through_when_one_successor_is_heard(masters):
    for name in ("OUT", "IN"):
        masters.handle(name, Switchover(), now=5.0)
    steps = masters.handle("IN", heard(50, 2), now=5.6)
    assert states(masters) == [State.BACKUP, State.BACKUP]
    assert Step("OUT", ReleaseAddresses(after=0.02)) in steps


@pytest.fixture
def half_gated() -> SyncGroup:
    """OUT has gates, IN has none; both want MASTER and have just got it."""
    members = {
        name: VirtualRouter(Parameters(vrid=vrid, in_sync_group=True, gated=vrid == 1), source=A("192.0.2.11"))
        for name, vrid in (("OUT", 1), ("IN", 2))
    }
    group = SyncGroup("G", members)
    for event, now in ((Startup(), 0.0), (TimerExpired(), 3.7)):
        for name in members:
            group.handle(name, event, now)
    return group


def test_the_group_is_told_master_when_the_last_member_serves(half_gated):
    assert states(half_gated) == [State.MASTER, State.MASTER]
    assert half_gated.state is State.BACKUP
    half_gated.handle("OUT", GatesBegun(), now=5.9)
    steps = half_gated.handle("OUT", GatesOpened(), now=6.0)
    assert steps[-1] == Step(None, Transition(State.BACKUP, State.MASTER, Reason.SYNC_GROUP))


def test_nobody_takes_over_beside_a_member_that_is_still_releasing(half_gated):
    half_gated.handle("OUT", GatesBegun(), now=4.9)
    half_gated.handle("OUT", GatesOpened(), now=5.0)
    half_gated.handle("OUT", TrackingChanged(faults=("eth0 is down",)), now=6.0)
    half_gated.handle("OUT", TrackingChanged(), now=6.5)
    assert half_gated.members["OUT"].phase is Phase.RELEASING
    assert half_gated.members["IN"].state is State.BACKUP
    half_gated.handle("IN", TimerExpired(), now=10.2)
    assert half_gated.members["IN"].state is State.BACKUP
    half_gated.handle("OUT", GatesClosed(), now=11.0)
    assert states(half_gated) == [State.BACKUP, State.BACKUP]
