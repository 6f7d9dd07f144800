"""The pool: who gets which part of new flows, when, and why."""

import itertools
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.forwarding import Protocol
from dnslb.health.check import CheckGroup
from dnslb.health.report import State
from dnslb.model import FlapDamping, MinUp, OnEmpty, SorryServer
from dnslb.pool import Pool
from dnslb.pool_events import (
    Admin,
    AdminChanged,
    Drained,
    NeighbourChanged,
    PanicStarted,
    QuorumLost,
    ServerDown,
    Startup,
    TableWanted,
    TimerExpired,
)
from tests.pools import SORRY, A, B, C, D, Driver, common, health, real, virtual

SORRY_SERVER = SorryServer(address=SORRY)


# --- up and down -----------------------------------------------------------------------------------------------------


def test_all_up():
    driver = Driver()
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert driver.keeping == {"a", "b", "c"}
    assert driver.pool.table.usual == {A: 100, B: 100, C: 100}
    assert driver.pool.deadline is None
    assert driver.why(A) == "a: 33.3% of new flows (weight 1 of 1): all checks pass"


def test_nothing_is_asked_for_before_startup():
    pool = Pool(virtual())
    assert pool.handle(NeighbourChanged(A, True), 1.0) == []
    assert pool.handle(health(A, State.UP), 2.0) == []
    first, *_ = pool.handle(Startup(), 3.0)
    assert first == TableWanted(weights={A: 100}, usual={A: 100, B: 100, C: 100}, keeping=frozenset({A}))


def test_a_server_that_goes_down_is_out_of_the_table_before_anybody_is_told():
    pool = Driver().pool
    table, told = pool.handle(health(A, State.DOWN), 10.0)
    assert table.weights == {B: 100, C: 100}
    assert table.keeping == {B, C}
    assert told == ServerDown(pool.members[A].server, "SERVFAIL for . SOA")


def test_the_usual_day_stays_what_it_is():
    driver = Driver()
    driver.down(A)
    assert driver.pool.table.usual == {A: 100, B: 100, C: 100}


def test_a_server_that_comes_back():
    driver = Driver()
    assert driver.down(A) == ["ServerDown a"]
    driver.now = 5.0
    assert driver.why(A) == "a: no new flows: down for 5 s: SERVFAIL for . SOA"
    assert driver.up(A) == ["ServerUp a"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1}


def test_the_same_verdict_again_changes_nothing():
    driver = Driver()
    driver.down(A)
    tables = len(driver.tables)
    assert driver.down(A, detail="no answer within 0.4 s") == []
    assert len(driver.tables) == tables
    assert "no answer within 0.4 s" in driver.why(A)


def test_events_about_strangers_are_no_error():
    driver = Driver()
    assert driver.down(D) == driver.neighbour(D, False) == driver.admin(D, Admin.DOWN) == []


# --- before the first check ------------------------------------------------------------------------------------------


def test_without_alpha_servers_are_up_until_a_check_fails_as_in_keepalived():
    driver = Driver(up=False)
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert driver.standing(A) == "unchecked"
    assert driver.down(A) == ["ServerDown a"]
    assert driver.up(B) == []


def test_with_alpha_servers_are_down_until_a_check_has_passed():
    driver = Driver(virtual(real(A, alpha=True), real(B, alpha=True)), up=False)
    assert driver.weights == {}
    assert driver.standing(A) == "waiting"
    assert driver.up(A) == ["ServerUp a", "QuorumGained"]
    assert driver.weights == {"a": 1}


def test_alpha_starts_no_slow_start():
    """They were at work before this daemon came."""
    driver = Driver(virtual(real(A, alpha=True, slow_start=60), real(B, alpha=True, slow_start=60)), up=False)
    driver.up(A)
    driver.now = 0.2
    driver.up(B)
    assert driver.weights == {"a": 1, "b": 1}


def test_a_server_whose_mac_address_is_not_known_gets_nothing():
    driver = Driver(known=False)
    assert driver.weights == {}
    assert driver.why(A) == "a: no new flows: its MAC address is not known yet; all checks pass"
    assert driver.neighbour(A, True) == []
    assert driver.weights == {"a": 1}


def test_a_static_mac_address_is_known():
    driver = Driver(virtual(real(A, mac=b"\2\0\0\0\0\1"), real(B)), known=False)
    assert driver.weights == {"a": 1}
    driver.neighbour(A, False)
    assert driver.weights == {"a": 1}


def test_a_neighbour_that_is_lost_is_down_whatever_its_checks_say():
    driver = Driver()
    assert driver.neighbour(A, False) == ["ServerDown a"]
    assert driver.weights == {"b": 1, "c": 1}
    assert driver.keeping == {"b", "c"}
    assert driver.why(A) == "a: no new flows: down: its MAC address is not known: no answer to ARP"


# --- weights ---------------------------------------------------------------------------------------------------------


def test_weights_of_the_file():
    driver = Driver(virtual(real(A, weight=100), real(B, weight=50), real(C, weight=0)))
    assert driver.weights == {"a": 100, "b": 50}
    assert driver.keeping == {"a", "b", "c"}
    assert driver.pool.table.usual == {A: 10000, B: 5000}
    assert driver.why(C) == "c: no new flows: its weight is 0, it keeps its connections"


def test_a_degraded_server_gets_a_part():
    driver = Driver()
    driver.now = 2.0
    assert driver.hear(health(A, State.DEGRADED, factor=0.5, detail="it answers slowly")) == []
    assert driver.weights == {"a": 0.5, "b": 1, "c": 1}
    assert driver.standing(A) == "degraded"
    assert driver.why(A) == "a: 20.0% of new flows (weight 0.5 of 1): it answers slowly"


def test_a_script_sets_the_weight():
    driver = Driver()
    driver.now = 2.0
    driver.up(A, weights=(8,))
    assert driver.weights == {"a": 8, "b": 1, "c": 1}
    driver.now = 4.0
    driver.up(A, weights=(0,))
    assert driver.weights == {"b": 1, "c": 1}
    assert driver.keeping == {"a", "b", "c"}


def test_weights_alone_change_at_most_once_a_second():
    driver = Driver()
    driver.now = 10.0
    driver.hear(health(A, State.DEGRADED, factor=0.9))
    driver.now = 10.2
    driver.hear(health(A, State.DEGRADED, factor=0.8))
    driver.now = 10.4
    driver.hear(health(A, State.DEGRADED, factor=0.7))
    assert driver.weights["a"] == 0.9
    assert driver.pool.deadline == 11.0
    driver.run(20.0)
    assert [(at, table.weights[A]) for at, table in driver.tables[1:]] == [(10.0, 90), (11.0, 70)]


def test_a_server_that_goes_never_waits():
    driver = Driver()
    driver.now = 10.0
    driver.hear(health(A, State.DEGRADED, factor=0.9))
    driver.now = 10.1
    driver.down(B)
    assert driver.weights == {"a": 0.9, "c": 1}


# --- slow start ------------------------------------------------------------------------------------------------------


def test_slow_start():
    driver = Driver(virtual(*(real(each, weight=10, slow_start=10) for each in (A, B))))
    driver.down(A)
    driver.now = 100.0
    driver.up(A)
    assert driver.weights == {"a": 1, "b": 10}
    assert driver.why(A) == (
        "a: 9.1% of new flows (weight 1 of 10): in its slow start, at full weight in 10 s; all checks pass"
    )
    driver.run(105.0)
    assert driver.weights == {"a": 5, "b": 10}
    driver.run(200.0)
    assert driver.weights == {"a": 10, "b": 10}
    assert driver.standing(A) == "up"
    times = [at for at, _ in driver.tables if at > 100]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([1.0] * 8)
    assert times[-1] == 110.0
    assert driver.pool.deadline is None


def test_a_long_slow_start_has_twenty_steps_at_most():
    driver = Driver(virtual(*(real(each, slow_start=600) for each in (A, B))))
    driver.down(A)
    driver.up(A)
    tables = len(driver.tables)
    driver.run(1000.0)
    assert driver.weights == {"a": 1, "b": 1}
    assert len(driver.tables) - tables == 18


def test_no_slow_start_for_the_first_server():
    driver = Driver(virtual(*(real(each, slow_start=60) for each in (A, B))))
    driver.down(A, B)
    driver.now = 10.0
    driver.up(A)
    assert driver.weights == {"a": 1}
    driver.now = 11.0
    driver.up(B)
    assert driver.weights == {"a": 1, "b": 0.1}


def test_no_slow_start_when_the_daemon_starts():
    assert Driver(virtual(*(real(each, slow_start=60) for each in (A, B)))).weights == {"a": 1, "b": 1}


def test_each_flap_begins_the_slow_start_again():
    driver = Driver(virtual(*(real(each, slow_start=10) for each in (A, B))))
    driver.down(A)
    driver.up(A)
    driver.run(8.0)
    assert driver.weights["a"] == 0.8
    driver.down(A)
    driver.up(A)
    assert driver.weights["a"] == 0.1


def test_a_slow_start_is_no_loss_of_quorum():
    driver = Driver(virtual(real(A, weight=10, slow_start=60), real(B, weight=1), quorum=11))
    assert driver.down(A) == ["ServerDown a", "QuorumLost"]
    assert driver.up(A) == ["ServerUp a", "QuorumGained"]


# --- flap damping ----------------------------------------------------------------------------------------------------


def flap(driver, address, times: int, every: float = 2.0) -> list[str]:
    told = []
    for _ in range(times):
        told += driver.down(address)
        told += driver.run(driver.now + every / 2)
        told += driver.up(address)
        told += driver.run(driver.now + every / 2)
    return told


def test_a_server_that_flaps_is_held_back():
    driver = Driver(virtual(flap_damping=FlapDamping(downs=3, half_life=60)))
    assert flap(driver, A, 2) == ["ServerDown a", "ServerUp a"] * 2
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert flap(driver, A, 1) == ["ServerDown a"]
    assert driver.weights == {"b": 1, "c": 1}
    assert driver.standing(A) == "held"
    assert "held back, it went down too often lately" in driver.why(A)
    assert driver.keeping == {"a", "b", "c"}
    assert driver.run(60.0) == []
    assert driver.run(70.0) == ["ServerUp a"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1}


def test_it_is_not_held_back_when_nobody_else_is_left():
    driver = Driver(virtual(real(A), real(B), flap_damping=FlapDamping(downs=3, half_life=60)))
    flap(driver, A, 3)
    assert driver.weights == {"b": 1}
    driver.down(B)
    assert driver.weights == {"a": 1}
    assert "no other server is left" in driver.why(A)


def test_the_operator_may_let_it_in():
    driver = Driver(virtual(flap_damping=FlapDamping(downs=3, half_life=60)))
    flap(driver, A, 3)
    assert driver.admin(A, Admin.UP) == ["ServerUp a"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1}


def test_outages_that_are_far_apart_are_forgotten():
    driver = Driver(virtual(flap_damping=FlapDamping(downs=3, half_life=60)))
    assert flap(driver, A, 10, every=300.0) == ["ServerDown a", "ServerUp a"] * 10


def test_nobody_is_held_back_for_more_than_two_half_lives():
    driver = Driver(virtual(flap_damping=FlapDamping(downs=3, half_life=60)))
    flap(driver, A, 100)
    ended = driver.now
    driver.run(ended + 121.0)
    assert driver.standing(A) == "up"


# --- tiers -----------------------------------------------------------------------------------------------------------


def tiers(**options) -> Driver:
    return Driver(virtual(real(A), real(B), real(C, tier=1), real(D, tier=2), **options))


def test_a_standby_server_waits():
    driver = tiers()
    assert driver.weights == {"a": 1, "b": 1}
    assert driver.keeping == {"a", "b", "c", "d"}
    assert driver.pool.table.usual == {A: 100, B: 100}
    assert driver.why(C) == ("c: no new flows: up, but tier 1 is not needed: the tiers before it have servers enough")


def test_the_next_tier_takes_over_when_the_first_is_gone():
    driver = tiers()
    driver.down(A)
    assert driver.weights == {"b": 1}
    driver.down(B)
    assert driver.weights == {"c": 1}
    driver.down(C)
    assert driver.weights == {"d": 1}
    driver.up(B)
    assert driver.weights == {"b": 1}


def test_tier_min_asks_for_help_earlier():
    driver = tiers(tier_min=2)
    driver.down(A)
    assert driver.weights == {"b": 1, "c": 1}
    driver.down(C)
    assert driver.weights == {"b": 1, "d": 1}


# --- the operator ----------------------------------------------------------------------------------------------------


def test_drain():
    driver = Driver(virtual(real(A, drain=30), real(B)))
    assert driver.admin(A, Admin.DRAIN) == []
    assert driver.weights == {"b": 1}
    assert driver.keeping == {"a", "b"}
    assert driver.why(A) == "a: no new flows: it drains, by the operator's word: its connections have 30 s more"
    assert driver.run(29.0) == []
    assert driver.run(31.0) == ["Drained a"]
    assert driver.keeping == {"a", "b"}
    assert driver.standing(A) == "drained"
    assert driver.run(100.0) == []
    driver.admin(A, Admin.AUTO)
    assert driver.weights == {"a": 1, "b": 1}


@pytest.mark.parametrize("options", [{"keep_flows": False}, {"protocols": frozenset({Protocol.UDP})}])
def test_without_connections_a_server_is_drained_at_once(options):
    driver = Driver(replace(virtual(), **options))
    assert driver.admin(A, Admin.DRAIN) == ["Drained a"]


@pytest.mark.parametrize("alpha", [False, True])
def test_after_a_restart_a_server_that_drains_is_not_drained_before_anything_is_known(alpha):
    """Its connections go on by the table of the process before."""
    pool = Pool(virtual(real(A, drain=30, alpha=alpha), real(B)))
    pool.handle(AdminChanged(A, Admin.DRAIN), 0.0)
    assert Drained(pool.members[A].server) not in pool.handle(Startup(), 0.0)
    pool.handle(NeighbourChanged(A, True), 0.5)
    pool.handle(health(A, State.UP), 1.0)
    assert not pool.members[A].drained
    assert Drained(pool.members[A].server) in pool.handle(TimerExpired(), 30.5)


def test_after_a_restart_a_server_that_is_gone_is_drained():
    driver = Driver(known=False, up=False)
    driver.admin(A, Admin.DRAIN)
    assert driver.neighbour(A, False) == ["ServerDown a", "Drained a"]


def test_a_server_that_dies_while_it_drains_is_drained():
    driver = Driver()
    driver.admin(A, Admin.DRAIN)
    assert driver.down(A) == ["ServerDown a", "Drained a"]
    assert driver.keeping == {"b", "c"}


def test_down_by_hand_cuts_connections_and_checks_go_on():
    driver = Driver()
    assert driver.admin(A, Admin.DOWN) == []
    assert driver.weights == {"b": 1, "c": 1}
    assert driver.keeping == {"b", "c"}
    assert driver.standing(A) == "out"
    assert driver.down(A) == ["ServerDown a"]
    driver.admin(A, Admin.AUTO)
    assert driver.weights == {"b": 1, "c": 1}


def test_up_by_hand_overrules_the_checks_but_not_the_neighbour():
    driver = Driver()
    driver.down(A)
    assert driver.admin(A, Admin.UP) == ["ServerUp a"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert "used by the operator's word, whatever its checks say: SERVFAIL for . SOA" in driver.why(A)
    driver.neighbour(A, False)
    assert driver.weights == {"b": 1, "c": 1}


def test_after_maintenance_a_server_starts_slowly():
    driver = Driver(virtual(*(real(each, slow_start=10) for each in (A, B))))
    driver.admin(A, Admin.DRAIN)
    driver.run(300.0)
    driver.admin(A, Admin.AUTO)
    assert driver.weights == {"a": 0.1, "b": 1}


# --- inhibit_on_failure ----------------------------------------------------------------------------------------------


def test_inhibit_on_failure_keeps_the_connections():
    driver = Driver(virtual(real(A, inhibit_on_failure=True), real(B)))
    driver.down(A)
    assert driver.weights == {"b": 1}
    assert driver.keeping == {"a", "b"}
    assert "down for 0 s, it keeps its connections (inhibit_on_failure): SERVFAIL" in driver.why(A)
    driver.neighbour(A, False)
    assert driver.keeping == {"b"}


# --- quorum and the sorry server -------------------------------------------------------------------------------------


def test_quorum_with_hysteresis():
    servers = [real(each, weight=10) for each in (A, B, C)]
    driver = Driver(virtual(*servers, quorum=20, hysteresis=5))
    assert driver.down(A) == ["ServerDown a"]
    assert driver.down(B) == ["ServerDown b", "QuorumLost"]
    assert driver.up(A) == ["ServerUp a"]
    assert driver.up(B) == ["ServerUp b", "QuorumGained"]


def test_the_quorum_is_told_when_the_pool_starts():
    pool = Pool(virtual())
    assert [type(action).__name__ for action in pool.handle(Startup(), 0.0)] == ["TableWanted", "QuorumGained"]


def test_quorum_says_what_it_has():
    driver = Driver(virtual(quorum=3))
    (lost,) = [each for each in driver.pool.handle(health(A, State.DOWN), 1.0) if isinstance(each, QuorumLost)]
    assert lost.why == "live servers have weight 2, quorum is 3"


def test_the_sorry_server_replaces_all_when_the_quorum_is_lost_as_in_keepalived():
    driver = Driver(virtual(quorum=2, sorry_server=SORRY_SERVER))
    driver.neighbour(SORRY, True)
    driver.down(A)
    assert driver.weights == {"b": 1, "c": 1}
    assert driver.down(B) == ["SorryStarted", "ServerDown b", "QuorumLost"]
    assert driver.weights == {"sorry": 1}
    assert driver.keeping == {"c", "sorry"}
    assert driver.why(C) == "c: no new flows: up, but the quorum is lost: the sorry server has taken over"
    assert driver.up(B) == ["SorryEnded", "ServerUp b", "QuorumGained"]
    assert driver.weights == {"b": 1, "c": 1}
    assert driver.keeping == {"b", "c"}


def test_with_on_empty_sorry_it_waits_until_nobody_is_left():
    driver = Driver(virtual(quorum=2, sorry_server=SORRY_SERVER, on_empty=OnEmpty.SORRY))
    driver.neighbour(SORRY, True)
    driver.down(A, B)
    assert driver.weights == {"c": 1}
    driver.down(C)
    assert driver.weights == {"sorry": 1}


def test_a_sorry_server_without_mac_address_is_no_help():
    driver = Driver(virtual(quorum=2, sorry_server=SORRY_SERVER))
    driver.down(A, B)
    assert driver.weights == {"c": 1}
    driver.down(C)
    assert driver.weights == {}


def test_this_node_itself_as_sorry_server():
    loopback = ip_address("127.0.0.1")
    driver = Driver(virtual(sorry_server=SorryServer(address=loopback)))
    driver.down(A, B, C)
    assert driver.pool.table.weights == {loopback: 100}


def test_a_sorry_server_may_keep_its_connections():
    driver = Driver(virtual(sorry_server=SorryServer(address=SORRY, inhibit=True)))
    driver.neighbour(SORRY, True)
    assert driver.keeping == {"a", "b", "c", "sorry"}


def test_nobody_is_left():
    driver = Driver()
    driver.down(A, B)
    assert driver.down(C) == ["ServerDown c", "QuorumLost"]
    assert driver.weights == {}
    assert driver.keeping == set()


# --- panic -----------------------------------------------------------------------------------------------------------


def test_below_min_up_health_is_ignored():
    driver = Driver(virtual(*(real(each) for each in (A, B, C, D)), min_up=MinUp(50, percent=True)))
    driver.down(A, B)
    assert driver.weights == {"c": 1, "d": 1}
    assert driver.down(C) == ["PanicStarted", "ServerDown c"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert driver.standing(A) == "panic"
    assert driver.why(A) == (
        "a: 25.0% of new flows (weight 1 of 1): 1 of 4 servers are up, fewer than min_up 50%: health is ignored; "
        "SERVFAIL for . SOA"
    )
    assert driver.down(D) == ["ServerDown d", "QuorumLost"]
    assert "0 of 4 servers are up" in driver.why(A)
    driver.up(D)
    assert driver.up(C) == ["PanicEnded", "ServerUp c"]
    assert driver.weights == {"c": 1, "d": 1}


def test_who_was_taken_out_by_hand_does_not_count_for_min_up():
    driver = Driver(virtual(min_up=MinUp(2)))
    driver.admin(A, Admin.DRAIN)
    assert driver.admin(B, Admin.DRAIN) == []
    assert driver.pool.panic is None
    driver.admin(B, Admin.AUTO)
    assert driver.down(C) == ["PanicStarted", "ServerDown c"]


def test_in_a_panic_there_is_no_slow_start():
    driver = Driver(virtual(*(real(each, slow_start=60) for each in (A, B)), min_up=MinUp(2)))
    driver.down(A)
    assert driver.weights == {"a": 1, "b": 1}


def test_a_panic_does_not_use_whom_it_can_not_reach_or_who_was_taken_out():
    driver = Driver(virtual(*(real(each) for each in (A, B, C, D)), min_up=MinUp(2)))
    driver.admin(A, Admin.DOWN)
    driver.neighbour(B, False)
    driver.down(C, D)
    assert driver.weights == {"c": 1, "d": 1}


def test_a_panic_uses_nobody_who_was_never_checked_where_alpha_asks_for_it():
    driver = Driver(virtual(real(A, alpha=True), real(B, alpha=True), min_up=MinUp(2)), up=False)
    assert driver.weights == {}
    driver.down(A)
    assert driver.weights == {"a": 1}
    assert driver.pool.panic is not None


def test_a_common_cause_takes_nobody_out():
    driver = Driver()
    assert driver.hear(common()) == []
    driver.down(A, B)
    assert driver.weights == {"c": 1}
    assert driver.down(C) == ["PanicStarted", "ServerDown c", "QuorumLost"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert driver.why(A) == (
        "a: 33.3% of new flows (weight 1 of 1): every server fails the same check, so all are used: "
        "DNS_CHECK . SOA over udp: SERVFAIL for . SOA; SERVFAIL for . SOA"
    )


def test_a_common_cause_is_shouted_with_its_sentence():
    driver = Driver()
    driver.hear(common())
    driver.down(A, B)
    (panic,) = [each for each in driver.pool.handle(health(C, State.DOWN), 1.0) if isinstance(each, PanicStarted)]
    assert panic.why == (
        "every server fails the same check, so all are used: DNS_CHECK . SOA over udp: SERVFAIL for . SOA"
    )


def test_after_a_common_cause_the_others_get_a_moment_to_recover_too():
    driver = Driver()
    driver.hear(common())
    driver.down(A, B, C)
    driver.now = 50.0
    driver.hear(common(""))
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert driver.up(A) == ["ServerUp a", "QuorumGained"]
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    driver.now = 50.5
    assert driver.up(B) == ["ServerUp b"]
    assert driver.run(52.9) == []
    assert driver.run(53.1) == ["PanicEnded"]
    assert driver.weights == {"a": 1, "b": 1}
    assert driver.standing(C) == "down"


def test_a_common_cause_ends_with_the_last_recovery():
    driver = Driver()
    driver.hear(common())
    driver.down(A, B, C)
    driver.up(A, B)
    assert driver.up(C) == ["PanicEnded", "ServerUp c"]
    assert driver.pool.deadline is None


def test_servers_on_which_nothing_listens_are_simply_gone():
    driver = Driver(virtual(sorry_server=SORRY_SERVER))
    driver.neighbour(SORRY, True)
    driver.hear(common("refused"))
    driver.down(A, B, C)
    assert driver.weights == {"sorry": 1}


def test_a_common_cause_that_turns_out_to_be_the_servers_own_ends():
    driver = Driver()
    driver.hear(common("timeout"))
    driver.down(A, B, C)
    assert driver.weights == {"a": 1, "b": 1, "c": 1}
    assert driver.hear(common("refused")) == ["PanicEnded"]
    assert driver.weights == {}


def test_hosts_that_are_gone_leave_a_common_cause_as_their_neighbour_entries_do():
    driver = Driver()
    driver.hear(common("timeout"))
    driver.down(A, B, C)
    driver.neighbour(A, False)
    assert driver.weights == {"b": 1, "c": 1}
    driver.neighbour(B, False)
    driver.neighbour(C, False)
    assert driver.weights == {}


# --- reload ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_removed_drains():
    driver = Driver(virtual(real(A, drain=30), real(B)))
    driver.now = 100.0
    driver.configure(virtual(real(B)))
    assert driver.weights == {"b": 1}
    assert driver.keeping == {"a", "b"}
    assert "it drains, removed from the configuration" in driver.why(A)
    assert driver.run(131.0) == ["Removed a"]
    assert driver.keeping == {"b"}
    assert A not in driver.pool.members


def test_a_server_that_is_removed_and_down_goes_at_once():
    driver = Driver()
    driver.down(A)
    assert driver.configure(virtual(real(B), real(C))) == ["Removed a"]


def test_without_connections_a_removed_server_goes_at_once():
    driver = Driver(virtual(keep_flows=False))
    assert driver.configure(virtual(real(B), real(C), keep_flows=False)) == ["Removed a"]
    assert driver.weights == {"b": 1, "c": 1}


def test_a_server_that_is_put_back_while_it_drains_stays():
    driver = Driver(virtual(real(A, drain=30), real(B)))
    driver.configure(virtual(real(B)))
    driver.now = 5.0
    driver.configure(virtual(real(A, drain=30), real(B)))
    assert driver.weights == {"a": 1, "b": 1}
    assert driver.run(100.0) == []


def test_a_new_server_starts_slowly():
    servers = [real(each, slow_start=10) for each in (A, B, C)]
    driver = Driver(virtual(*servers[:2]))
    driver.now = 100.0
    driver.configure(virtual(*servers))
    driver.neighbour(C, True)
    assert driver.weights == {"a": 1, "b": 1, "c": 0.1}


def test_what_stays_keeps_its_state():
    driver = Driver()
    driver.down(A)
    driver.admin(B, Admin.DRAIN)
    driver.configure(virtual(real(A), real(B), real(C, weight=5)))
    assert driver.weights == {"c": 5}
    assert driver.up(A) == ["ServerUp a"]


@pytest.mark.parametrize("alpha", [True, False])
def test_checks_that_are_changed_leave_what_is_known_until_they_have_run(alpha):
    checked = [real(each, alpha=alpha, checks=(CheckGroup(checks=()),)) for each in (A, B, C)]
    driver = Driver(virtual(*checked))
    driver.down(A)
    assert driver.hear(health(A, State.UNKNOWN)) == driver.hear(health(B, State.UNKNOWN)) == []
    assert driver.weights == {"b": 1, "c": 1}


def test_a_server_that_is_no_longer_checked_is_no_longer_down():
    checks = (CheckGroup(checks=()),)
    driver = Driver(virtual(real(A, checks=checks), real(B, checks=checks)))
    driver.down(A)
    driver.configure(virtual(real(A), real(B)))
    driver.hear(health(A, State.UNKNOWN, detail="nothing checks it"))
    assert driver.weights == {"a": 1, "b": 1}


def test_changed_weights_count_at_once():
    driver = Driver()
    driver.now = 0.1
    driver.configure(virtual(real(A, weight=4), real(B), real(C)))
    assert driver.weights == {"a": 4, "b": 1, "c": 1}


# --- the end ---------------------------------------------------------------------------------------------------------


def test_the_end_is_silent_without_omega():
    assert Driver().stop() == []


def test_omega_tells_what_goes_with_the_daemon():
    driver = Driver(virtual(omega=True))
    driver.down(B)
    assert driver.stop() == ["ServerDown a", "ServerDown c", "QuorumLost"]
    assert driver.pool.deadline is None
    assert driver.up(B) == []


def test_a_common_cause_does_not_bring_back_a_server_that_is_down_for_another_reason():
    driver = Driver()
    driver.hear(common(servers={B, C}))
    driver.down(A, B, C)
    assert driver.weights == {"b": 1, "c": 1}
