"""keepalived as a peer: what it is known to do, with literal times."""

import pytest

from pyvrrp.core.events import State, Switchover, TrackingChanged
from pyvrrp.core.parameters import Parameters
from tests.simulation.cluster import Cluster
from tests.simulation.node import Node

TRAVEL = 0.001


def parameters(priority, **fields) -> Parameters:
    return Parameters(vrid=51, priority=priority, **fields)


@pytest.fixture
def cluster():
    return Cluster()


def pair(cluster: Cluster, ours: int, theirs: int, **fields) -> tuple[Node, Node]:
    """Our node a and a keepalived k, ten seconds after their start."""
    a = cluster.node("a", 1, parameters(ours))
    k = cluster.node("k", 2, parameters(theirs, **fields), keepalived=True)
    cluster.start(a, k)
    cluster.run(10.0)
    return a, k


def said(cluster: Cluster, node: Node, since: float) -> list[str]:
    return [each.text for each in cluster.timeline.since(since, "advertises") if each.node == node.name]


@pytest.mark.parametrize(("ours", "theirs", "master"), [(200, 100, "a"), (100, 200, "k"), (100, 100, "k")])
def test_the_higher_priority_and_then_the_higher_address_is_master(cluster, ours, theirs, master):
    pair(cluster, ours, theirs)
    assert [node.name for node in cluster.masters(51)] == [master]
    assert cluster.holders(51) == cluster.masters(51)


def test_state_master_waits_like_everybody_else(cluster):
    k = cluster.node("k", 2, parameters(100, initial_state=State.MASTER), keepalived=True)
    cluster.start(k)
    cluster.run(3.6)
    assert cluster.masters(51) == []
    cluster.run(3.61)
    assert cluster.masters(51) == [k]


def test_after_priority_zero_it_takes_609_milliseconds(cluster):
    a, k = pair(cluster, 200, 100)
    cluster.stop(a)
    cluster.run(10.609)
    assert cluster.masters(51) == []
    cluster.run(10.609375 + TRAVEL)
    assert cluster.masters(51) == [k]


def test_its_timer_goes_on_while_it_hears_a_lower_priority(cluster):
    a = cluster.node("a", 1, parameters(100))
    cluster.start(a)
    cluster.run(10.0)
    k = cluster.node("k", 2, parameters(200), keepalived=True)
    cluster.start(k)
    cluster.run(10.0 + 3.21875 - TRAVEL)
    assert cluster.masters(51) == [a]
    cluster.run(10.0 + 3.21875 + TRAVEL)
    assert cluster.masters(51) == [k]


@pytest.mark.parametrize(("fields", "takes"), [({"nopreempt": True}, None), ({"preempt_delay": 10.0}, 13.0)])
def test_it_obeys_a_lower_priority_when_it_must_not_preempt(cluster, fields, takes):
    a = cluster.node("a", 1, parameters(100))
    cluster.start(a)
    cluster.run(10.0)
    k = cluster.node("k", 2, parameters(200, **fields), keepalived=True)
    cluster.start(k)
    cluster.run(19.0)
    assert cluster.masters(51) == [a]
    cluster.run(10.0 + (takes or 60.0) + 1.5)
    assert cluster.masters(51) == ([a] if takes is None else [k])


def test_a_master_yields_whatever_nopreempt_says_and_without_priority_zero(cluster):
    k = cluster.node("k", 2, parameters(100, nopreempt=True), keepalived=True)
    cluster.start(k)
    cluster.run(10.0)
    a = cluster.node("a", 1, parameters(200))
    cluster.start(a)
    cluster.run(20.0)
    assert cluster.masters(51) == [a]
    assert cluster.holders(51) == [a]
    assert "advertises 51 with priority 0" not in said(cluster, k, 10.0)


def test_it_answers_a_lower_priority_at_once_and_announces_twice(cluster):
    k = cluster.node("k", 2, parameters(200), keepalived=True)
    cluster.start(k)
    a = cluster.node("a", 1, parameters(100))
    cluster.network.cut("k", "a")
    cluster.start(a)
    cluster.run(5.0)
    (took,) = cluster.timeline.since(0.0, "VI_51 BACKUP -> MASTER (no advertisement for master_down_interval: 3.609 s)")
    answers = [each.time for each in cluster.timeline.since(took.time, "advertises") if each.node == "k"]
    assert answers[0] < took.time + TRAVEL
    assert cluster.neighbours[51] is k


@pytest.mark.parametrize(
    "leave", [lambda node: node.service.stop(), lambda node: node.track("VI_51", TrackingChanged(faults=("eth1",)))]
)
def test_it_leaves_with_priority_zero_and_drops_the_addresses_at_once(cluster, leave):
    a, k = pair(cluster, 100, 200)
    leave(k)
    assert said(cluster, k, 10.0)[-1:] == ["advertises 51 with priority 0"]
    assert cluster.holders(51) == []
    cluster.run(11.0)
    assert cluster.masters(51) == [a]


def test_when_killed_its_addresses_stay_until_it_is_started_again(cluster):
    a = cluster.node("a", 1, parameters(100))
    k = cluster.node("k", 2, parameters(200), keepalived=True, restart_takes=100.0)
    cluster.start(a, k)
    cluster.run(10.0)
    k.service.kill_speaker()
    cluster.run(100.0)
    assert cluster.holders(51) == [a, k]
    cluster.run(110.5)
    assert cluster.holders(51) == [a]


def test_it_does_not_notice_that_it_slept(cluster):
    a, k = pair(cluster, 100, 200)
    cluster.freeze(k)
    cluster.run(30.0)
    assert cluster.holders(51) == [a, k]
    cluster.thaw(k, timers_first=True)
    assert said(cluster, k, 30.0)[0] == "advertises 51 with priority 200"
    assert not cluster.timeline.since(30.0, "VI_51 MASTER -> BACKUP")
    cluster.run(30.0 + TRAVEL)
    assert cluster.masters(51) == [k]


def test_it_knows_no_switchover(cluster):
    _, k = pair(cluster, 100, 200)
    cluster.deliver(k, Switchover())
    cluster.run(20.0)
    assert cluster.masters(51) == [k]
