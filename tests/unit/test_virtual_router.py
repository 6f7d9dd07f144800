"""The election, rule by rule, with literal times (RFC 3768 section 6.4, RFC 9568 section 6.4, keepalived)."""

from ipaddress import IPv4Address as A

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import (
    AcquireAddresses,
    AdvertisementReceived,
    AnnounceAddresses,
    GroupReasserted,
    LowerPriorityHeard,
    Reason,
    ReleaseAddresses,
    SendAdvertisement,
    Shutdown,
    SourceChanged,
    Startup,
    State,
    Switchover,
    TimerExpired,
    TrackingChanged,
    Transition,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.virtual_router import VirtualRouter

OURS = A("192.0.2.11")
HIGHER = A("192.0.2.12")
LOWER = A("192.0.2.10")
VIP = A("192.0.2.100")


def make(**parameters) -> VirtualRouter:
    return VirtualRouter(Parameters(vrid=51, addresses=(VIP,), **parameters), source=OURS)


def started(**parameters) -> VirtualRouter:
    router = make(**parameters)
    router.handle(Startup(), now=0.0)
    return router


def master(at: float = 10.0, **parameters) -> VirtualRouter:
    router = started(**parameters)
    router.handle(heard(0), now=at - router.skew_time)
    router.handle(TimerExpired(), now=at)
    assert router.state is State.MASTER
    return router


def heard(priority: int, source: A = HIGHER, interval: float = 1.0, version: int = 2) -> AdvertisementReceived:
    return AdvertisementReceived(Advertisement(version, 51, priority, interval, (VIP,)), source)


# --- start ---------------------------------------------------------------------------------------------------------


def test_starts_as_backup_and_waits_for_master_down_interval():
    router = make()
    assert router.handle(Startup(), now=0.0) == [Transition(State.INIT, State.BACKUP, Reason.STARTUP)]
    assert router.deadline == 3.609375


def test_state_master_below_255_waits_as_long():
    assert started(initial_state=State.MASTER).deadline == 3.609375


def test_state_master_in_a_sync_group_waits_one_interval_and_the_longest_skew():
    assert started(initial_state=State.MASTER, in_sync_group=True).deadline == 1 + 255 / 256


def test_owner_is_backup_first_and_master_at_once():
    router = started(priority=255, initial_state=State.MASTER)
    assert router.state is State.BACKUP
    assert router.deadline == 0.0
    router.handle(TimerExpired(), now=0.0)
    assert router.state is State.MASTER
    assert router.reason is Reason.OWNER


@pytest.mark.parametrize(
    ("version", "interval", "priority", "expected"),
    [
        (2, 1, 100, 3.609375),
        (2, 1, 254, 3.0078125),
        (2, 1, 1, 3.99609375),
        (2, 5, 100, 15.609375),
        (3, 1, 100, 3.609375),
        (3, 5, 100, 18.046875),
        (3, 0.1, 100, 0.3609375),
        (3, 0.01, 100, 0.03609375),
    ],
)
def test_master_down_interval(version, interval, priority, expected):
    router = make(version=version, advert_int=interval, priority=priority)
    assert router.master_down_interval == pytest.approx(expected, abs=1e-9)


def test_startup_delay_ignores_advertisements_and_stays_silent():
    router = started(startup_delay=10.0)
    assert router.handle(heard(200), now=1.0) == []
    assert router.state is State.INIT
    assert router.deadline == 10.0
    router.handle(TimerExpired(), now=10.0)
    assert router.state is State.BACKUP
    assert router.deadline == 13.609375


# --- BACKUP --------------------------------------------------------------------------------------------------------


def test_takes_over_when_the_master_is_silent():
    router = started()
    router.handle(heard(150), now=2.0)
    assert router.deadline == 5.609375
    assert router.handle(TimerExpired(), now=5.609375) == [
        SendAdvertisement(100),
        AcquireAddresses(),
        AnnounceAddresses(5),
        Transition(State.BACKUP, State.MASTER, Reason.MASTER_DOWN, "3.609 s"),
    ]


def test_a_timer_that_fires_early_changes_nothing():
    router = started()
    assert router.handle(TimerExpired(), now=3.6) == []
    assert router.deadline == 3.609375


def test_priority_zero_shortens_the_wait_to_skew_time():
    router = started()
    router.handle(heard(150), now=2.0)
    router.handle(heard(0), now=2.5)
    assert router.deadline == 2.5 + 0.609375
    actions = router.handle(TimerExpired(), now=3.109375)
    assert actions[-1].reason is Reason.PRIORITY_ZERO


@pytest.mark.parametrize("priority", [100, 101, 255])
def test_equal_or_higher_priority_restarts_the_timer_whatever_the_address(priority):
    router = started()
    router.handle(heard(priority, LOWER), now=3.0)
    assert router.deadline == 6.609375
    assert (router.master, router.master_priority) == (LOWER, priority)


def test_lower_priority_is_discarded_and_the_timer_goes_on():
    router = started()
    assert router.handle(heard(99), now=3.0) == []
    assert router.deadline == 3.609375
    assert router.handle(TimerExpired(), now=3.7)[-1] == Transition(
        State.BACKUP, State.MASTER, Reason.PREEMPTION, "192.0.2.12 advertises priority 99"
    )


def test_nopreempt_accepts_a_lower_priority():
    router = started(nopreempt=True)
    router.handle(heard(50), now=3.0)
    assert router.deadline == 6.609375


def test_preempt_delay_counts_from_the_first_lower_advertisement():
    router = started(preempt_delay=30.0)
    for second in range(30):
        router.handle(heard(50), now=float(second))
    assert router.deadline == 29 + 3.609375
    router.handle(heard(50), now=30.0)
    assert router.deadline == 32.609375


def test_preempt_delay_starts_anew_after_an_equal_or_higher_advertisement():
    router = started(preempt_delay=30.0)
    router.handle(heard(50), now=0.0)
    router.handle(heard(150), now=20.0)
    router.handle(heard(50), now=21.0)
    router.handle(heard(50), now=50.9)
    assert router.deadline == pytest.approx(50.9 + 3.609375)
    router.handle(heard(50), now=51.0)
    assert router.deadline == pytest.approx(50.9 + 3.609375)


def test_v3_learns_the_masters_interval_and_v2_does_not():
    v3 = started(version=3)
    v3.handle(heard(150, interval=4.0, version=3), now=1.0)
    assert v3.deadline == 1 + 3 * 4 + 156 / 256 * 4
    v3.handle(heard(150, interval=0.5, version=3), now=2.0)
    assert v3.deadline == 2 + 3 * 0.5 + 156 / 256 * 0.5
    v2 = started()
    v2.handle(heard(150, interval=4.0), now=1.0)
    assert v2.deadline == 4.609375


def test_v3_master_uses_its_own_interval_again():
    router = started(version=3)
    router.handle(heard(150, interval=4.0, version=3), now=0.0)
    router.handle(TimerExpired(), now=router.deadline)
    assert router.master_adver_int == 1.0
    assert router.deadline == 15.0


# --- MASTER --------------------------------------------------------------------------------------------------------


def test_advertises_each_interval_without_drift():
    router = master(at=10.0, garp_master_delay=0)
    assert router.deadline == 11.0
    assert router.handle(TimerExpired(), now=11.25) == [SendAdvertisement(100)]
    assert router.deadline == 12.0


def test_a_stall_of_several_intervals_does_not_cause_a_burst():
    router = master(at=10.0, garp_master_delay=0)
    assert router.handle(TimerExpired(), now=14.5) == [SendAdvertisement(100)]
    assert router.deadline == 15.0


def test_routers_that_took_over_at_different_moments_advertise_together():
    early, late = master(at=10.1, garp_master_delay=0), master(at=10.75, garp_master_delay=0)
    assert (early.deadline, late.deadline) == (11.0, 11.0)
    sub_second = master(at=10.13, version=3, advert_int=0.25, garp_master_delay=0)
    assert sub_second.deadline == 10.25


def test_priority_zero_is_answered_at_once():
    router = master(at=10.0)
    # And announced: who said it was MASTER too.
    assert router.handle(heard(0), now=10.25) == [SendAdvertisement(100), AnnounceAddresses(5)]
    assert router.state is State.MASTER


def test_yields_to_a_higher_priority_without_priority_zero_even_with_nopreempt():
    router = master(at=10.0, nopreempt=True)
    assert router.handle(heard(101, LOWER), now=10.5) == [
        SendAdvertisement(100),
        ReleaseAddresses(after=0.02),
        Transition(State.MASTER, State.BACKUP, Reason.HIGHER_PRIORITY, "192.0.2.10 advertises priority 101"),
    ]
    assert router.deadline == 10.5 + 3.609375
    assert router.master == LOWER


def test_the_last_advertisement_of_the_deposed_makes_the_other_announce_again():
    """Both were MASTER in a partition, the loser hears first: the winner would never know that there was another."""
    winner, loser = master(at=10.0, priority=101), master(at=10.0)
    last = loser.handle(heard(101, HIGHER), now=10.5)[0]
    assert last == SendAdvertisement(100)
    assert AnnounceAddresses(5) in winner.handle(heard(last.priority, LOWER), now=10.5)


def test_the_last_advertisement_of_the_deposed_can_be_switched_off():
    router = master(at=10.0, higher_prio_send_advert=False)
    assert isinstance(router.handle(heard(101, LOWER), now=10.5)[0], ReleaseAddresses)


def test_yields_to_equal_priority_only_from_a_higher_address():
    router = master(at=10.0)
    router.handle(heard(100, LOWER), now=10.5)
    assert router.state is State.MASTER
    router.handle(heard(100, HIGHER), now=10.6)
    assert router.state is State.BACKUP
    assert router.reason is Reason.HIGHER_ADDRESS


def test_addresses_are_compared_as_numbers_not_as_text():
    router = VirtualRouter(Parameters(vrid=1), source=A("192.0.2.9"))
    router.handle(Startup(), now=0.0)
    router.handle(TimerExpired(), now=3.7)
    router.handle(heard(100, A("192.0.2.10")), now=4.0)
    assert router.state is State.BACKUP


def test_equal_priority_from_our_own_address_changes_nothing():
    router = master(at=10.0)
    assert router.handle(heard(100, OURS), now=10.5) == []


def test_lower_priority_is_answered_by_advertisement_and_announcement():
    router = master(at=10.0, garp_master_delay=0)
    assert router.handle(heard(99), now=10.25) == [
        SendAdvertisement(100),
        AnnounceAddresses(5),
        LowerPriorityHeard(HIGHER, 99),
    ]
    assert router.deadline == 11.0
    for second in (11.0, 12.0, 13.0, 14.0):
        router.handle(TimerExpired(), now=second)
    assert router.handle(TimerExpired(), now=15.0) == [SendAdvertisement(100)]
    assert router.deadline == 15.25
    assert router.handle(TimerExpired(), now=15.25) == [AnnounceAddresses(5)]


def test_lower_prio_no_advert_and_no_garp():
    router = master(at=10.0, lower_prio_no_advert=True, garp_lower_prio_repeat=0)
    assert router.handle(heard(99), now=10.25) == [LowerPriorityHeard(HIGHER, 99)]


def test_higher_prio_send_advert_advertises_once_more_before_it_yields():
    router = master(at=10.0, higher_prio_send_advert=True)
    assert router.handle(heard(150), now=10.5)[:2] == [SendAdvertisement(100), ReleaseAddresses(0.02)]


def test_gratuitous_arp_schedule_of_keepalived():
    router = master(at=10.0, garp_master_refresh=60.0, garp_master_refresh_repeat=2)
    sent = []
    while router.deadline < 200.0:
        now = router.deadline
        sent += [(now, a.repeat) for a in router.handle(TimerExpired(), now) if isinstance(a, AnnounceAddresses)]
    assert sent == [(15.0, 5), (75.0, 2), (135.0, 2), (195.0, 2)]


# --- two owners ----------------------------------------------------------------------------------------------------


def owner() -> VirtualRouter:
    router = started(priority=255, initial_state=State.MASTER, garp_master_delay=0)
    router.handle(TimerExpired(), now=0.0)
    return router


def test_the_owner_with_the_lower_address_yields_at_once():
    router = owner()
    router.handle(heard(255, HIGHER), now=0.5)
    assert router.state is State.BACKUP


def test_the_owner_with_the_higher_address_gives_up_255_when_the_other_goes_on():
    router = owner()
    for now in (0.5, 1.5, 2.5, 3.5):
        router.handle(heard(255, LOWER), now=now)
        assert router.state is State.MASTER
    router.handle(heard(255, LOWER), now=3.7)
    assert router.state is State.BACKUP
    assert router.effective_priority == 254
    router.handle(TimerExpired(), now=router.deadline)
    assert router.state is State.MASTER
    assert router.effective_priority == 255


def test_two_meetings_far_apart_are_not_one_long_conflict():
    router = owner()
    router.handle(heard(255, LOWER), now=0.5)
    while router.deadline < 100.0:
        router.handle(TimerExpired(), now=router.deadline)
    router.handle(heard(255, LOWER), now=100.0)
    assert router.state is State.MASTER


# --- tracking, faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "effective"), [(0, 100), (-30, 70), (30, 130), (-200, 1), (200, 254)])
def test_effective_priority_is_clamped(weight, effective):
    router = started()
    router.handle(TrackingChanged(weight=weight), now=1.0)
    assert router.effective_priority == effective


def test_an_owner_has_no_weights():
    router = owner()
    router.handle(TrackingChanged(weight=-50), now=1.0)
    assert router.effective_priority == 255


def test_a_changed_priority_shifts_the_running_timer_by_the_skew():
    router = started()
    router.handle(TrackingChanged(weight=-36), now=1.0)
    assert router.deadline == 3.609375 + 36 / 256


def test_a_fault_of_the_master_says_priority_zero_and_releases():
    router = master(at=10.0)
    assert router.handle(TrackingChanged(faults=("eth0 is down",)), now=10.5) == [
        SendAdvertisement(0),
        ReleaseAddresses(),
        Transition(State.MASTER, State.FAULT, Reason.FAULT, "eth0 is down"),
    ]
    assert router.deadline is None
    assert router.handle(heard(50), now=11.0) == []


def test_a_cleared_fault_leads_to_backup_with_a_full_wait():
    router = master(at=10.0)
    router.handle(TrackingChanged(faults=("eth0 is down",)), now=10.5)
    assert router.handle(TrackingChanged(), now=20.0) == [Transition(State.FAULT, State.BACKUP, Reason.RECOVERED)]
    assert router.deadline == 23.609375


def test_unknown_is_not_healthy_a_pending_tracker_keeps_it_in_init():
    router = make()
    router.handle(TrackingChanged(pending=("script chk has not reported yet",)), now=0.0)
    assert router.handle(Startup(), now=0.0) == []
    assert router.state is State.INIT
    assert router.handle(heard(50), now=1.0) == []
    router.handle(TrackingChanged(), now=2.0)
    assert router.state is State.BACKUP
    assert router.deadline == 5.609375


def test_a_fault_that_ends_in_not_knowing_says_what_it_waits_for():
    router = started()
    router.handle(TrackingChanged(faults=("eth0 is down",)), now=1.0)
    router.handle(TrackingChanged(pending=("script chk: no result yet",)), now=2.0)
    assert (router.state, router.detail) == (State.FAULT, "script chk: no result yet")
    router.handle(TrackingChanged(), now=3.0)
    assert (router.state, router.detail) == (State.BACKUP, "")


def test_a_pending_tracker_that_fails_leads_to_fault_without_backup():
    router = make()
    router.handle(TrackingChanged(pending=("script chk",)), now=0.0)
    router.handle(Startup(), now=0.0)
    actions = router.handle(TrackingChanged(faults=("script chk failed",)), now=1.0)
    assert actions == [Transition(State.INIT, State.FAULT, Reason.FAULT, "script chk failed")]


def test_without_an_address_to_advertise_from_it_is_fault():
    router = VirtualRouter(Parameters(vrid=51))
    router.handle(Startup(), now=0.0)
    assert router.state is State.FAULT
    router.handle(SourceChanged(OURS), now=1.0)
    assert router.state is State.BACKUP


# --- leaving -------------------------------------------------------------------------------------------------------


def test_shutdown_says_priority_zero_and_answers_until_the_successor_is_heard():
    router = master(at=10.0)
    assert router.handle(Shutdown(), now=10.5) == [SendAdvertisement(0)]
    assert router.state is State.MASTER
    assert router.handle(heard(0), now=10.6) == []
    assert router.handle(heard(50), now=11.0) == [
        ReleaseAddresses(after=0.02),
        Transition(State.MASTER, State.INIT, Reason.SHUTDOWN),
    ]
    assert router.deadline is None


def test_shutdown_without_a_successor_ends_after_the_longest_skew_and_an_interval():
    router = master(at=10.0)
    router.handle(Shutdown(), now=10.5)
    assert router.deadline == 10.5 + 255 / 256 + 1
    assert router.handle(TimerExpired(), now=12.5) == [
        ReleaseAddresses(),
        Transition(State.MASTER, State.INIT, Reason.SHUTDOWN),
    ]


def test_nothing_is_advertised_or_announced_while_handing_over():
    router = master(at=10.0)
    router.handle(Shutdown(), now=10.5)
    assert router.handle(TimerExpired(), now=11.0) == []
    assert router.handle(GroupReasserted(), now=11.0) == []


def test_a_fault_does_not_wait_for_a_successor():
    router = master(at=10.0)
    router.handle(Switchover(), now=10.5)
    actions = router.handle(TrackingChanged(faults=("dns failed",)), now=10.6)
    assert actions == [ReleaseAddresses(), Transition(State.MASTER, State.FAULT, Reason.FAULT, "dns failed")]


def test_switchover_gives_the_address_to_the_successor_and_leaves_it_there():
    router = master(at=10.0, priority=200)
    assert router.handle(Switchover(), now=10.5) == [SendAdvertisement(0)]
    assert router.handle(heard(50), now=11.0) == [
        ReleaseAddresses(after=0.02),
        Transition(State.MASTER, State.BACKUP, Reason.SWITCHOVER),
    ]
    router.handle(heard(50), now=12.0)
    assert router.deadline == 12.0 + 3.21875
    router.handle(TimerExpired(), now=router.deadline)
    assert router.state is State.MASTER
    router.handle(heard(250), now=20.0)
    assert router.handle(heard(50), now=21.0) == []
    assert router.deadline == 20.0 + 3.21875


def test_switchover_to_nobody_stays_master():
    router = master(at=10.0, garp_master_delay=0)
    router.handle(Switchover(), now=10.5)
    assert router.handle(TimerExpired(), now=12.5) == [SendAdvertisement(100)]
    assert router.serving
    assert router.deadline == 13.0


def test_a_reload_while_handing_over_does_not_take_the_priority_zero_back():
    router = master(at=10.0)
    router.handle(Switchover(), now=10.5)
    assert router.reconfigure(Parameters(vrid=51, addresses=(VIP,), priority=150), now=10.6) == []
    assert router.deadline == 10.5 + 255 / 256 + 1


def test_switchover_of_a_backup_changes_nothing():
    assert started().handle(Switchover(), now=1.0) == []


# --- late ----------------------------------------------------------------------------------------------------------


def test_a_master_that_slept_too_long_lets_go_before_it_listens():
    router = master(at=10.0, garp_master_delay=0)
    actions = router.handle(TimerExpired(), now=14.7)
    assert actions == [
        ReleaseAddresses(),
        Transition(State.MASTER, State.BACKUP, Reason.LATE, "an advertisement was due 3.700 s ago"),
    ]
    assert router.deadline == 14.7 + 3.609375


def test_a_master_that_slept_too_long_lets_go_also_when_it_hears_before_it_sees_its_timers():
    router = master(at=10.0, garp_master_delay=0)
    assert router.handle(heard(50), now=14.7) == [
        ReleaseAddresses(),
        Transition(State.MASTER, State.BACKUP, Reason.LATE, "an advertisement was due 3.700 s ago"),
    ]
    assert router.deadline == 14.7 + 3.609375
    router.handle(heard(150), now=14.7)
    assert router.master == HIGHER


def test_a_master_that_slept_announces_nothing_before_it_lets_go():
    router = master(at=10.0)
    assert router.deadline == 11.0
    for second in (11.0, 12.0, 13.0, 14.0):
        router.handle(TimerExpired(), now=second)
    actions = router.handle(TimerExpired(), now=25.0)
    assert [type(action).__name__ for action in actions] == ["ReleaseAddresses", "Transition"]


def test_a_backup_that_stalled_for_a_moment_reads_what_waits_first():
    router = started()
    assert router.handle(TimerExpired(), now=3.8) == []
    assert router.deadline == 3.8 + 0.1
    router.handle(TimerExpired(), now=4.5)
    assert router.state is State.MASTER


def test_a_backup_that_slept_listens_once_more():
    router = started()
    assert router.handle(TimerExpired(), now=5.0) == []
    assert router.deadline == 5.0 + 1 + 0.609375
    router.handle(heard(150), now=5.1)
    assert router.deadline == 5.1 + 3.609375


def test_shutdown_of_a_backup_says_nothing():
    router = started()
    assert router.handle(Shutdown(), now=1.0) == [Transition(State.BACKUP, State.INIT, Reason.SHUTDOWN)]
    assert router.handle(TrackingChanged(faults=("late",)), now=2.0) == []


# --- reload --------------------------------------------------------------------------------------------------------


def test_reconfigure_keeps_a_master_master_and_tells_at_once():
    router = master(at=10.0, garp_master_delay=0)
    actions = router.reconfigure(Parameters(vrid=51, addresses=(VIP,), priority=150), now=10.4)
    assert actions == [SendAdvertisement(150)]
    assert router.state is State.MASTER
    assert router.deadline == 11.0


def test_reconfigure_switches_a_burst_off_that_is_still_to_come():
    router = master(at=10.0, garp_master_delay=2.5)
    router.reconfigure(Parameters(vrid=51, addresses=(VIP,), garp_master_repeat=0), now=10.0)
    router.handle(TimerExpired(), now=11.0)
    router.handle(TimerExpired(), now=12.0)
    assert router.handle(TimerExpired(), now=12.5) == []


def test_reconfigure_of_a_backup_moves_its_timer_by_the_skew():
    router = started()
    router.reconfigure(Parameters(vrid=51, addresses=(VIP,), priority=164), now=1.0)
    assert router.deadline == 3.359375


def test_reconfigure_counts_a_shorter_preempt_delay_from_the_same_advertisement():
    router = started(preempt_delay=1000.0)
    router.handle(heard(50), now=1.0)
    router.reconfigure(Parameters(vrid=51, addresses=(VIP,), preempt_delay=10.0), now=2.0)
    router.handle(heard(50), now=10.5)
    assert router.deadline == 10.5 + 3.609375
    router.handle(heard(50), now=11.0)
    assert router.deadline == 10.5 + 3.609375


@pytest.mark.parametrize(
    "wrong",
    [
        {"vrid": 0},
        {"vrid": 256},
        {"version": 4},
        {"priority": 0},
        {"advert_int": 0.5},
        {"version": 3, "advert_int": 41},
        {"family": 5},
        {"down_timer_adverts": 0},
    ],
)
def test_parameters_refuse_what_the_wire_cannot_carry(wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        Parameters(**{"vrid": 1, **wrong})


def test_a_fault_while_it_hands_over_at_its_end_lets_go_at_once():
    """Without a link it would not hear its successor, who has the addresses by then."""
    router = master(at=10.0)
    assert router.handle(Shutdown(), now=11.0) == [SendAdvertisement(0)]
    assert router.handle(TrackingChanged(faults=("interface eth0: down",)), now=11.2)[0] == ReleaseAddresses()
    assert router.state is State.INIT
