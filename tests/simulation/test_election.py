"""A whole cluster on a virtual clock: who is MASTER, when, and for how long two are."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyvrrp.core.events import State, Switchover, TrackingChanged
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.tenure import OVERLAP
from tests.simulation.cluster import Cluster, Node

VRID = 51
TRAVEL = 0.001
"more than a packet takes on the perfect network, there and back"
MOVED = OVERLAP + TRAVEL
"how long two may hold the addresses while they move: make before break"

ordinary = settings(max_examples=300, deadline=None)
priorities = st.integers(1, 254)
seeds = st.integers(0, 2**16)
speeds = st.sampled_from([(2, 4, 1.0), (2, 4, 2.0), (3, 4, 1.0), (3, 4, 0.1), (3, 4, 40.95), (3, 6, 1.0), (3, 6, 0.25)])
"version, family, advert_int; below 10 ms of interval the network would be too slow to elect anybody"


def parameters(speed=(2, 4, 1.0), **fields) -> Parameters:
    version, family, advert_int = speed
    return Parameters(vrid=VRID, version=version, family=family, advert_int=advert_int, **fields)


def cluster_of(priorities, speed=(2, 4, 1.0), seed=0, **fields) -> Cluster:
    """Nodes a, b, ... with these priorities and rising addresses; their clocks have nothing in common."""
    cluster = Cluster(seed)
    for number, priority in enumerate(priorities, 1):
        made = parameters(speed, priority=priority, **fields)
        cluster.node("abcdefgh"[number - 1], number, made, clock=1000.0 * number)
    return cluster


def router(node: Node):
    return node.members[f"VI_{VRID}"].router


def settle(cluster: Cluster) -> float:
    """Seconds after which nobody is still waiting: 4 s at the defaults."""
    return max(router(node).master_down_interval for node in cluster.nodes) + TRAVEL


def elected(cluster: Cluster) -> Node:
    """The one MASTER, who alone has the addresses; and nobody obeys another."""
    masters = cluster.masters(VRID)
    cluster.expect(len(masters) == 1, f"one MASTER, not {masters}")
    cluster.expect(cluster.holders(VRID) == masters, f"{masters} with the addresses, not {cluster.holders(VRID)}")
    (master,) = masters
    for node in cluster.nodes:
        if node.alive and router(node).state is State.BACKUP and router(node).master is not None:
            cluster.expect(router(node).master == router(master).source, f"{node} obeys {master}")
    return master


def best(cluster: Cluster) -> int:
    return max(router(node).effective_priority for node in cluster.nodes if node.alive)


# --- start ----------------------------------------------------------------------------------------------------------


@ordinary
@given(st.lists(st.tuples(priorities, st.floats(0.0, 8.0)), min_size=1, max_size=5), speeds, seeds)
def test_one_master_the_highest_priority_within_four_seconds(nodes, speed, seed):
    cluster = cluster_of([priority for priority, _ in nodes], speed, seed)
    for node, (_, start) in zip(cluster.nodes, nodes, strict=True):
        cluster.at(start, lambda node=node: cluster.start(node))
    decided = max(start for _, start in nodes) + settle(cluster)
    assert speed[2] != 1.0 or decided <= max(start for _, start in nodes) + 4.0
    cluster.run(decided)
    master = elected(cluster)
    cluster.expect(router(master).effective_priority == best(cluster), "the highest priority")
    cluster.run(decided + 10 * speed[2])
    cluster.expect(not cluster.timeline.since(decided, "->"), "peace after the election")


@ordinary
@given(st.permutations([9, 10, 99, 100]), priorities, speeds, seeds)
def test_equals_that_start_together_elect_the_highest_address(numbers, priority, speed, seed):
    cluster = Cluster(seed)
    nodes = [cluster.node(f"n{number}", number, parameters(speed, priority=priority)) for number in numbers]
    cluster.start(*nodes)
    cluster.run(settle(cluster))
    cluster.expect(elected(cluster).number == 100, "the highest address, as a number")


@ordinary
@given(st.booleans(), speeds)
def test_an_equal_that_comes_later_leaves_the_master_alone(later_has_higher_address, speed):
    cluster = cluster_of([100, 100], speed)
    first, later = cluster.nodes if later_has_higher_address else cluster.nodes[::-1]
    cluster.start(first)
    cluster.run(settle(cluster))
    cluster.start(later)
    cluster.run(cluster.now + 3 * settle(cluster))
    cluster.expect(elected(cluster) is first, "who came first")
    cluster.expect(cluster.overlap(VRID) == 0.0, "never two holders")


def test_the_owner_is_master_at_once_and_the_backup_that_was_master_steps_down():
    cluster = cluster_of([100])
    backup = cluster.nodes[0]
    cluster.start(backup)
    cluster.run(10.0)
    owner = cluster.node("owner", 9, parameters(priority=255, initial_state=State.MASTER))
    cluster.start(owner)
    cluster.run(10.0 + TRAVEL)
    assert elected(cluster) is owner


# --- takeover -------------------------------------------------------------------------------------------------------


@ordinary
@given(st.lists(priorities, min_size=2, max_size=4, unique=True), st.floats(0.0, 1.0), speeds, seeds)
def test_a_master_that_dies_is_replaced_within_master_down_interval(priorities, moment, speed, seed):
    cluster = cluster_of(priorities, speed, seed)
    cluster.start(*cluster.nodes)
    cluster.run(settle(cluster) + (5 + moment) * speed[2])
    master = elected(cluster)
    last_word = cluster.timeline.since(0.0, "advertises")[-1].time
    cluster.crash(master)
    successor = max((node for node in cluster.nodes if node.alive), key=lambda node: router(node).effective_priority)
    wait = router(successor).master_down_interval
    cluster.run(last_word + wait - TRAVEL)
    cluster.expect(not cluster.masters(VRID), "patience for the whole interval")
    cluster.run(last_word + wait + TRAVEL)
    cluster.expect(successor in cluster.masters(VRID), f"{successor} takes over")
    cluster.run(cluster.now + settle(cluster))
    assert elected(cluster) is successor


@ordinary
@given(st.lists(priorities, min_size=2, max_size=4, unique=True), st.floats(0.0, 1.0), speeds, seeds)
def test_a_master_that_leaves_is_replaced_within_skew_time_without_a_gap(priorities, moment, speed, seed):
    cluster = cluster_of(priorities, speed, seed)
    cluster.start(*cluster.nodes)
    cluster.run(settle(cluster) + (5 + moment) * speed[2])
    master = elected(cluster)
    successor = max((n for n in cluster.nodes if n is not master), key=lambda node: router(node).effective_priority)
    left = cluster.now
    cluster.stop(master)
    cluster.run(cluster.now + router(successor).skew_time + TRAVEL)
    cluster.expect(successor in cluster.masters(VRID), f"{successor} takes over")
    cluster.run(cluster.now + settle(cluster))
    assert elected(cluster) is successor
    cluster.expect(cluster.unheld(VRID, left) == 0.0, "no gap")
    cluster.expect(cluster.overlap(VRID, left) < MOVED, "two holders for the handing over only")


@ordinary
@given(priorities, priorities, st.floats(0.0, 1.0), speeds, seeds)
def test_a_switchover_moves_the_addresses_and_leaves_them_there(one, other, moment, speed, seed):
    cluster = cluster_of([one, other], speed, seed)
    cluster.start(*cluster.nodes)
    cluster.run(settle(cluster) + (5 + moment) * speed[2])
    before = elected(cluster)
    (successor,) = (node for node in cluster.nodes if node is not before)
    began = cluster.now
    cluster.deliver(before, Switchover())
    cluster.run(cluster.now + router(successor).skew_time + TRAVEL)
    cluster.expect(elected(cluster) is successor, "the other one")
    cluster.run(cluster.now + 3 * settle(cluster))
    cluster.expect(elected(cluster) is successor, "the other one still, whatever the priorities")
    cluster.expect(cluster.unheld(VRID, began) == 0.0, "no gap")
    cluster.expect(cluster.overlap(VRID, began) < MOVED, "two holders for the handing over only")
    cluster.crash(successor)
    cluster.run(cluster.now + settle(cluster) + speed[2])
    cluster.expect(elected(cluster) is before, "who is left")


def test_a_switchover_to_nobody_changes_nothing_for_the_clients():
    cluster = cluster_of([100])
    cluster.start(*cluster.nodes)
    cluster.run(5.0)
    cluster.deliver(cluster.nodes[0], Switchover())
    cluster.run(10.0)
    assert elected(cluster) is cluster.nodes[0]
    assert cluster.unheld(VRID, 5.0) == 0.0


def test_after_priority_zero_it_takes_609_milliseconds():
    cluster = cluster_of([200, 100])
    a, b = cluster.nodes
    cluster.start(a, b)
    cluster.run(10.0)
    cluster.stop(a)
    cluster.run(10.609375)
    assert not cluster.masters(VRID)
    cluster.run(10.609375 + TRAVEL)
    assert elected(cluster) is b


# --- preemption -----------------------------------------------------------------------------------------------------


@ordinary
@given(priorities.filter(lambda priority: priority < 254), st.floats(0.0, 1.0), speeds, seeds)
def test_a_higher_priority_preempts_without_a_gap(priority, moment, speed, seed):
    cluster = cluster_of([priority, priority + 1], speed, seed)
    low, high = cluster.nodes
    cluster.start(low)
    cluster.run(settle(cluster) + moment * speed[2])
    cluster.start(high)
    began = cluster.now
    cluster.run(began + router(high).master_down_interval - TRAVEL)
    cluster.expect(elected(cluster) is low, "no haste: the timer goes on")
    cluster.run(began + router(high).master_down_interval + TRAVEL)
    cluster.expect(elected(cluster) is high, "the higher priority")
    cluster.run(cluster.now + 1.0)
    cluster.expect(cluster.unheld(VRID, began) == 0.0, "no gap")
    cluster.expect(cluster.overlap(VRID) < MOVED, "two holders for the handing over only")


@ordinary
@given(priorities, priorities, speeds, seeds)
def test_with_nopreempt_who_has_it_keeps_it(one, other, speed, seed):
    cluster = cluster_of([one, other], speed, seed, nopreempt=True)
    first, later = cluster.nodes
    cluster.start(first)
    cluster.run(settle(cluster))
    cluster.start(later)
    cluster.run(cluster.now + 4 * settle(cluster))
    cluster.expect(elected(cluster) is first, "who came first")
    cluster.crash(first)
    cluster.run(cluster.now + settle(cluster) + speed[2])
    cluster.expect(elected(cluster) is later, "the survivor")


def test_preempt_delay_of_30_seconds_and_what_is_left_of_master_down_interval():
    cluster = cluster_of([100])
    cluster.start(cluster.nodes[0])
    cluster.run(10.0)
    high = cluster.node("high", 9, parameters(priority=200, preempt_delay=30.0))
    cluster.start(high)
    cluster.run(60.0)
    (taken,) = cluster.timeline.since(10.001, "BACKUP -> MASTER")
    first_heard = cluster.timeline.since(10.001, "advertises")[0].time
    down = router(high).master_down_interval
    assert first_heard + 30.0 <= taken.time <= first_heard + 30.0 + down + TRAVEL
    assert elected(cluster) is high


@ordinary
@given(st.lists(st.tuples(st.floats(0.1, 6.0), st.sampled_from([-60, -30, 0, 30, 60])), max_size=6), speeds, seeds)
def test_the_address_follows_the_weights(changes, speed, seed):
    cluster = cluster_of([100, 120], speed, seed)
    cluster.start(*cluster.nodes)
    cluster.run(settle(cluster))
    for pause, weight in changes:
        cluster.deliver(cluster.nodes[0], TrackingChanged(weight=weight))
        cluster.run(cluster.now + pause * speed[2])
    cluster.run(cluster.now + settle(cluster) + speed[2])
    cluster.expect(router(elected(cluster)).effective_priority == best(cluster), "the highest effective priority")


# --- a network that fails ------------------------------------------------------------------------------------------


@ordinary
@given(
    st.lists(st.tuples(priorities, st.integers(0, 2)), min_size=2, max_size=5),
    st.floats(0.0, 1.0),
    speeds,
    seeds,
)
def test_when_a_partition_heals_one_master_remains_within_one_interval(nodes, moment, speed, seed):
    cluster = cluster_of([priority for priority, _ in nodes], speed, seed)
    cluster.start(*cluster.nodes)
    cluster.run(settle(cluster))
    sides = [[node.name for node, (_, side) in zip(cluster.nodes, nodes, strict=True) if side == n] for n in range(3)]
    cluster.network.partition(*sides)
    cluster.run(cluster.now + settle(cluster) + (4 + moment) * speed[2])
    populated = sum(bool(side) for side in sides)
    cluster.expect(len(cluster.masters(VRID)) == populated, f"a MASTER on each of {populated} sides")
    cluster.network.heal()
    cluster.run(cluster.now + speed[2] + TRAVEL)
    cluster.expect(router(elected(cluster)).effective_priority == best(cluster), "the highest priority")


@ordinary
@given(st.lists(priorities, min_size=2, max_size=4), st.floats(0.1, 0.9), st.floats(0.0, 0.5), speeds, seeds)
def test_a_lossy_and_slow_network_is_forgotten_when_it_is_well_again(priorities, loss, slowness, speed, seed):
    cluster = cluster_of(priorities, speed, seed)
    cluster.network.loss = loss
    cluster.network.delay = (0.0, slowness * speed[2])
    cluster.network.ordered = False
    cluster.start(*cluster.nodes)
    cluster.run(30 * speed[2])
    cluster.network.heal()
    cluster.run(cluster.now + settle(cluster) + speed[2])
    cluster.expect(router(elected(cluster)).effective_priority == best(cluster), "the highest priority")


def test_a_backup_that_is_deaf_makes_two_masters_until_it_hears_again():
    cluster = cluster_of([200, 100])
    a, b = cluster.nodes
    cluster.start(a, b)
    cluster.run(10.0)
    cluster.network.cut("a", "b")
    cluster.run(20.0)
    assert cluster.masters(VRID) == [a, b]
    cluster.network.heal()
    cluster.run(21.0 + TRAVEL)
    assert elected(cluster) is a


@ordinary
@given(st.integers(1, 253), st.floats(0.5, 1.5), seeds)
def test_clocks_that_drift_by_a_percent_elect_as_well(priority, percent, seed):
    cluster = Cluster(seed)
    slow = cluster.node("slow", 1, parameters(priority=priority + 1), rate=1 - percent / 100)
    fast = cluster.node("fast", 2, parameters(priority=priority), rate=1 + percent / 100)
    cluster.start(slow, fast)
    cluster.run(200.0)
    assert elected(cluster) is slow
    cluster.expect(len(cluster.timeline.since(8.0, "->")) == 0, "no takeover from a master whose clock is slow")


@ordinary
@given(
    st.lists(st.tuples(priorities, st.sampled_from([0.1, 0.3, 1.0, 2.5])), min_size=2, max_size=4),
    st.floats(0.0, 3.0),
    seeds,
)
def test_v3_nodes_with_different_intervals_wait_as_long_as_their_master_says(nodes, moment, seed):
    cluster = Cluster(seed)
    for number, (priority, interval) in enumerate(nodes, 1):
        cluster.node("abcd"[number - 1], number, parameters((3, 4, interval), priority=priority))
    cluster.start(*cluster.nodes)
    cluster.run(2 * settle(cluster))
    master = elected(cluster)
    cluster.expect(router(master).effective_priority == best(cluster), "the highest priority")
    quiet = cluster.now
    cluster.run(quiet + 10.0 + moment)
    cluster.expect(not cluster.timeline.since(quiet, "->"), "nobody takes over from a living master that is slower")
    for node in cluster.nodes:
        if node is not master:
            cluster.expect(router(node).master_adver_int == router(master).parameters.advert_int, f"{node} has learnt")
    cluster.crash(master)
    cluster.run(cluster.now + settle(cluster))
    elected(cluster)


@ordinary
@given(st.booleans(), st.booleans(), st.floats(0.1, 20.0), st.booleans(), seeds)
def test_who_sleeps_and_wakes_up_late_disturbs_nobody(master_sleeps, equals, seconds, timers_first, seed):
    cluster = cluster_of([100 if equals else 200, 100], seed=seed)
    cluster.start(*cluster.nodes)
    cluster.run(10.0)
    master = elected(cluster)
    (backup,) = (node for node in cluster.nodes if node is not master)
    sleeper = master if master_sleeps else backup
    cluster.freeze(sleeper)
    cluster.run(10.0 + seconds)
    there = cluster.masters(VRID)
    late = sleeper.local(cluster.now) - router(sleeper).deadline
    assume(not (timers_first and sleeper is backup and 0.0 <= late <= 1.0))  # not late enough to be noticed
    cluster.thaw(sleeper, timers_first=timers_first)
    if sleeper is backup:
        cluster.run(cluster.now + 10.0)
        cluster.expect(not cluster.timeline.since(10.0 + seconds, "-> MASTER"), "it listens before it takes over")
        cluster.expect(cluster.overlap(VRID, 10.0) == 0.0, "never two holders")
    else:
        cluster.run(cluster.now + 1.0 + TRAVEL)
        cluster.expect(len(cluster.masters(VRID)) == 1, f"one MASTER, not {cluster.masters(VRID)}")
        if len(there) == 2 and seconds > 5.0:
            _, first, *_ = (e for e in cluster.timeline.since(10.0 + seconds, "") if e.node == sleeper.name)
            cluster.expect("MASTER -> BACKUP" in first.text, f"addresses off before anything else, not {first}")


def test_a_master_that_stood_still_for_five_seconds_and_its_successor_are_one_within_an_interval():
    cluster = cluster_of([200, 100])
    a, b = cluster.nodes
    cluster.start(a, b)
    cluster.run(10.0)
    cluster.freeze(a)
    cluster.run(15.0)
    assert cluster.masters(VRID) == [a, b]
    cluster.thaw(a)
    cluster.run(16.0)
    assert elected(cluster) is b
    cluster.run(15.0 + settle(cluster))
    assert elected(cluster) is a


# --- gates ----------------------------------------------------------------------------------------------------------


@ordinary
@given(
    st.lists(st.tuples(st.floats(0.0, 8.0), st.sampled_from(["stop", "start", "fault", "well"]), st.integers(0, 1))),
    st.floats(0.001, 6.0),
    seeds,
)
def test_gated_nodes_that_move_on_purpose_never_hold_the_addresses_both(moves, gate_takes, seed):
    cluster = Cluster(seed)
    for name, number, priority in (("a", 1, 100), ("b", 2, 200)):
        cluster.node(name, number, parameters(priority=priority, gated=True), gate_takes=gate_takes)
    cluster.start(*cluster.nodes)
    for pause, what, which in moves:
        cluster.run(cluster.now + pause)
        node = cluster.nodes[which]
        match what:
            case "stop":
                cluster.stop(node)
            case "start":
                cluster.start(node)
            case "fault":
                cluster.deliver(node, TrackingChanged(faults=("drbd0 is Outdated",)))
            case "well":
                cluster.deliver(node, TrackingChanged())
    for node in cluster.nodes:
        cluster.deliver(node, TrackingChanged())
    cluster.run(cluster.now + 2 * gate_takes)
    cluster.start(*cluster.nodes)
    cluster.run(cluster.now + 2 * settle(cluster) + 2 * gate_takes)
    cluster.expect(elected(cluster).name == "b", "the higher priority")
    cluster.expect(cluster.overlap(VRID) == 0.0, f"never two holders, not {cluster.overlap(VRID):.6f} s")
