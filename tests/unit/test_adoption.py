"""Who goes on in the role of the process before, and what is cleared away; and the router that adopts."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AcquireAddresses,
    Adopted,
    AdvertisementReceived,
    CloseGates,
    GatesClosed,
    Phase,
    Reason,
    ReleaseAddresses,
    SendAdvertisement,
    SourceChanged,
    Startup,
    State,
    TimerExpired,
    TrackingChanged,
    Transition,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.sync_group import SyncGroup
from pyvrrp.core.tracking import Tracker
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.daemon.adoption import Successor, note, residue, roles, tracker
from pyvrrp.daemon.journal import Entry, Goodbye, Held, Left, Sent

NOW = 1000.0
VIP = Held(address="192.0.2.100/24", device="eth0", delete="00")
OLD = Held(address="192.0.2.99/24", device="eth0", delete="01")
GOODBYE = Goodbye(
    family=4, interface="eth0", index=2, source="192.0.2.11", destination="224.0.0.18", ttl=255, packet=""
)
MASTER = Entry(router="r1", name="VI_1", state="MASTER", serving=True, wait=3.0, addresses=(VIP,), goodbyes=(GOODBYE,))
BACKUP = Entry(router="r2", name="VI_2", state="BACKUP", wait=3.0)
ONE, TWO = Successor(name="VI_1", router="r1"), Successor(name="VI_2", router="r2")


def left(*entries, sent=NOW - 1.0):
    return Left(
        entries={entry.router: entry for entry in entries}, sent={entry.router: Sent(sent, 0) for entry in entries}
    )


def present(*held):
    return lambda wanted: wanted in held


# --- who adopts ------------------------------------------------------------------------------------------------------


def test_a_master_whose_absence_nobody_can_have_noticed_goes_on():
    assert roles([ONE], left(MASTER), present(VIP), NOW) == {"VI_1": State.MASTER}


@pytest.mark.parametrize(("sent", "adopted"), [(NOW - 2.99, True), (NOW - 3.0, False), (0.0, False)])
def test_after_the_shortest_wait_of_a_peer_it_is_too_late(sent, adopted):
    assert bool(roles([ONE], left(MASTER, sent=sent), present(VIP), NOW)) is adopted


def test_after_priority_zero_nobody_waits_for_us():
    """The journal has 0 for it."""
    assert roles([ONE], left(MASTER, sent=0.0), present(VIP), 2.0) == {"VI_1": State.MASTER}
    assert roles([ONE], left(MASTER, sent=0.0), present(VIP), NOW) == {}


@pytest.mark.parametrize(
    "entry",
    [
        replace(MASTER, serving=False),
        replace(MASTER, state="FAULT"),
        replace(MASTER, gates=("drbd",)),
        replace(MASTER, addresses=(VIP, OLD)),
        replace(MASTER, router="r9"),
    ],
    ids=["acquiring or releasing", "FAULT", "another gate", "an address that is gone", "another router"],
)
def test_everything_must_be_as_it_was(entry):
    assert roles([ONE], left(entry), present(VIP), NOW) == {}


def test_the_same_gates_are_adopted():
    one = replace(ONE, gates=("drbd",))
    assert roles([one], left(replace(MASTER, gates=("drbd",))), present(VIP), NOW) == {"VI_1": State.MASTER}
    assert roles([one], left(MASTER), present(VIP), NOW) == {}


def test_a_backup_goes_on_whenever_it_was_but_not_with_gates_half_closed():
    assert roles([TWO], left(BACKUP, sent=0.0), present(), NOW) == {"VI_2": State.BACKUP}
    assert roles([TWO], left(replace(BACKUP, undo=(("umount", "/data"),))), present(), NOW) == {}
    assert roles([TWO], left(replace(BACKUP, addresses=(VIP,))), present(VIP), NOW) == {}


def test_it_may_have_another_name():
    assert roles([replace(ONE, name="NEW")], left(MASTER), present(VIP), NOW) == {"NEW": State.MASTER}


def test_a_sync_group_is_adopted_whole_or_not_at_all():
    one, two = replace(ONE, sync_group="G"), replace(TWO, sync_group="G")
    both = left(MASTER, replace(MASTER, router="r2"))
    assert roles([one, two], both, present(VIP), NOW) == {"VI_1": State.MASTER, "VI_2": State.MASTER}
    assert roles([one, two], left(MASTER, BACKUP), present(VIP), NOW) == {}
    assert roles([one, two, replace(ONE, name="VI_3", router="r3")], left(MASTER), present(VIP), NOW) == {}


# --- what is cleared away --------------------------------------------------------------------------------------------


def test_what_nobody_adopts_is_taken_down_with_priority_zero_while_somebody_waits():
    assert residue([ONE], {}, ["192.0.2.100/24"], left(MASTER), NOW) == [MASTER]
    assert residue([ONE], {}, [], left(MASTER, sent=NOW - 3.5), NOW) == [replace(MASTER, goodbyes=())]


def test_of_what_is_adopted_only_addresses_that_are_not_wanted_any_more():
    entry = replace(MASTER, addresses=(VIP, OLD), undo=(("umount", "/data"),))
    adopted = {"VI_1": State.MASTER}
    assert residue([ONE], adopted, ["192.0.2.100/24"], left(entry), NOW) == [
        replace(MASTER, addresses=(OLD,), goodbyes=())
    ]
    assert residue([ONE], adopted, ["192.0.2.100/24", "192.0.2.99/24"], left(entry), NOW) == []


def test_who_held_nothing_leaves_nothing():
    assert residue([], {}, [], left(BACKUP), NOW) == []


def test_a_tracker_says_what_it_said_until_it_has_a_new_result():
    before = Tracker("script", "chk", rise=2, fall=3)
    before.report(False, "exit status 1", 12.5)
    after = Tracker("script", "chk", rise=2, fall=3, before=tracker(note(before)))
    assert (after.up, after.since, after.detail) == (False, 12.5, "exit status 1")


# --- the router ------------------------------------------------------------------------------------------------------

PARAMETERS = Parameters(vrid=51, priority=150, addresses=(ip_address("192.0.2.100"),), garp_master_refresh=60.0)
SOURCE = ip_address("192.0.2.11")


def adopt(state, parameters=PARAMETERS, source=SOURCE):
    router = VirtualRouter(parameters, source)
    return router, router.handle(Adopted(state), 100.3)


def test_an_adopted_master_advertises_first_and_announces_nothing():
    router, actions = adopt(State.MASTER)
    assert actions == [
        SendAdvertisement(150),
        AcquireAddresses(),
        Transition(State.INIT, State.MASTER, Reason.ADOPTED),
    ]
    assert router.serving
    assert router.handle(TimerExpired(), 101.0) == [SendAdvertisement(150)]


def test_an_adopted_backup_waits_a_whole_interval():
    router, actions = adopt(State.BACKUP)
    assert actions == [Transition(State.INIT, State.BACKUP, Reason.ADOPTED)]
    assert router.deadline == 100.3 + router.master_down_interval


def test_after_a_switchover_it_still_leaves_the_address_to_its_successor():
    lower = AdvertisementReceived(
        Advertisement(2, 51, 100, 1.0, PARAMETERS.addresses, 0, bytes(8)), ip_address("192.0.2.12")
    )
    router = VirtualRouter(PARAMETERS, SOURCE)
    router.handle(Adopted(State.BACKUP, yielded=True), 100.3)
    assert router.yielded
    router.handle(lower, 101.0)
    assert router.deadline == 101.0 + router.master_down_interval
    other, _ = adopt(State.BACKUP)
    before = other.deadline
    other.handle(lower, 101.0)
    assert other.deadline == before, "it preempts"


def test_checks_that_have_not_reported_do_not_keep_it_from_its_role():
    router = VirtualRouter(PARAMETERS, SOURCE)
    router.handle(TrackingChanged(pending=("script chk",)), 100.0)
    router.handle(Adopted(State.MASTER), 100.3)
    assert router.handle(TrackingChanged(pending=("script chk",)), 100.4) == []
    assert router.serving


def test_with_a_fault_it_leaves_as_the_one_before_would_have():
    router, actions = adopt(State.MASTER, source=None)
    assert router.state in (State.FAULT, State.MASTER)
    assert SendAdvertisement(0) in actions
    assert adopt(State.BACKUP, source=None)[0].state is State.FAULT


def test_an_adopted_master_with_gates_holds_them_and_gives_them_back():
    router, actions = adopt(State.MASTER, replace(PARAMETERS, gated=True))
    assert actions[-1] == Transition(State.INIT, State.MASTER, Reason.ADOPTED)
    assert router.phase is Phase.SERVING
    fault = TrackingChanged(faults=("DNS is down",))
    assert router.handle(fault, 101.0)[-2:] == [ReleaseAddresses(), CloseGates()]
    router.handle(GatesClosed(), 101.5)
    assert router.state is State.FAULT


def test_a_router_that_runs_adopts_nothing():
    router = VirtualRouter(PARAMETERS, SOURCE)
    router.handle(Startup(), 100.0)
    assert router.handle(Adopted(State.MASTER), 100.1) == []
    assert router.state is State.BACKUP


def test_a_group_is_master_when_its_last_member_is():
    members = {name: VirtualRouter(replace(PARAMETERS, in_sync_group=True)) for name in "AB"}
    group = SyncGroup("G", members)
    for name in "AB":
        group.handle(name, SourceChanged(SOURCE), 100.0)
    first = group.handle("A", Adopted(State.MASTER), 100.1)
    assert all(step.member == "A" for step in first)
    second = group.handle("B", Adopted(State.MASTER), 100.1)
    assert second[-1].action == Transition(State.INIT, State.MASTER, Reason.SYNC_GROUP)
    assert second[-1].member is None
