"""Sync groups on a network that fails for one of their virtual routers at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyvrrp.core.events import Switchover, TrackingChanged
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.tenure import OVERLAP
from tests.contract import together
from tests.simulation.cluster import Cluster, Node

OUT, IN = 1, 2


def pair(seed=0, *, gated=(), gate_takes=0.5) -> Cluster:
    cluster = Cluster(seed)
    for name, number, priority in (("a", 1, 200), ("b", 2, 100)):
        members = [Parameters(vrid=vrid, priority=priority, gated=vrid in gated) for vrid in (OUT, IN)]
        cluster.node(name, number, *members, sync_group=True, clock=77.0 * number, gate_takes=gate_takes)
    return cluster


def all_together(cluster: Cluster) -> None:
    for node in cluster.nodes:
        routers = [member.router for member in node.members.values()]
        cluster.expect(together(routers), f"{node} moves as one: {[(r.state, r.phase) for r in routers]}")


def everything_at(cluster: Cluster) -> Node:
    (out,), (within,) = cluster.masters(OUT), cluster.masters(IN)
    cluster.expect(out is within, f"one node has both, not {out} and {within}")
    assert cluster.holders(OUT) == cluster.holders(IN) == [out]
    return out


def test_a_group_of_two_is_master_where_the_priority_is_higher():
    cluster = pair()
    cluster.start(*cluster.nodes)
    cluster.run(4.0)
    assert everything_at(cluster).name == "a"


@pytest.mark.parametrize("broken", [OUT, IN])
def test_one_link_that_fails_takes_nothing_from_a_master_that_still_has_the_other(broken):
    cluster = pair()
    cluster.start(*cluster.nodes)
    cluster.run(5.0)
    cluster.network.partition("a", "b", vrid=broken)
    cluster.run(30.0, lambda: all_together(cluster))
    assert everything_at(cluster).name == "a"


@pytest.mark.parametrize("faulty", [OUT, IN])
def test_a_fault_of_one_member_moves_both_within_skew_time_and_back(faulty):
    cluster = pair()
    a, b = cluster.nodes
    cluster.start(a, b)
    cluster.run(5.0)
    cluster.deliver(a, TrackingChanged(faults=("eth1 is down",)), f"VI_{faulty}")
    cluster.run(5.0 + 0.609375 + 0.001, lambda: all_together(cluster))
    assert everything_at(cluster) is b
    cluster.run(10.0)
    cluster.deliver(a, TrackingChanged(), f"VI_{faulty}")
    cluster.run(15.0, lambda: all_together(cluster))
    assert everything_at(cluster) is a
    assert cluster.overlap(OUT) < OVERLAP + 0.001


troubles = st.sampled_from(["part", "part out", "part in", "cut a", "heal", "lose", "fault", "well", "switchover"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), troubles, st.sampled_from([OUT, IN]), st.integers(0, 1)), max_size=8),
    st.sampled_from([(), (OUT,), (OUT, IN)]),
    st.integers(0, 2**16),
)
def test_a_group_moves_as_one_whatever_happens_to_its_links(history, gated, seed):
    cluster = pair(seed, gated=gated)
    a, b = cluster.nodes
    cluster.start(a, b)
    for pause, trouble, vrid, which in history:
        cluster.run(cluster.now + pause, lambda: all_together(cluster))
        cluster.timeline.add(cluster.now, "*", trouble)
        match trouble:
            case "part":
                cluster.network.partition("a", "b")
            case "part out":
                cluster.network.partition("a", "b", vrid=OUT)
            case "part in":
                cluster.network.partition("a", "b", vrid=IN)
            case "cut a":
                cluster.network.cut("a", "b", vrid)
            case "heal":
                cluster.network.heal()
            case "lose":
                cluster.network.loss = 0.4
            case "switchover" if len(gated) != 1:  # the member without gates would not wait for the other
                cluster.deliver(cluster.nodes[which], Switchover())
            case "fault" | "well":
                faults = ("eth1 is down",) if trouble == "fault" else ()
                cluster.deliver(cluster.nodes[which], TrackingChanged(faults=faults), f"VI_{vrid}")
    cluster.network.heal()
    for node in cluster.nodes:
        cluster.deliver(node, TrackingChanged())
    cluster.run(cluster.now + 12.0, lambda: all_together(cluster))
    holder = everything_at(cluster)
    switched = any(trouble == "switchover" for _, trouble, _, _ in history)
    cluster.expect(holder is a or switched, "all of it is where the priority is higher")
