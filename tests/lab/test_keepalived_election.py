"""The rules of the election, with the real keepalived on the other side."""

import time

import pytest
from lab_nodes import BOTH_WAYS, Node, Segment, instance, wait_holder

from pyvrrp.demo.lab import Lab

pytestmark = pytest.mark.parametrize("ways", BOTH_WAYS, ids=lambda ways: "-and-".join(ways))

VIP = "192.0.2.100"


def fast(priority: int, extra: str = "", vrid: int = 51, vip: str = VIP) -> str:
    """VRRPv3 at 200 ms: master_down_interval is 0.6 to 0.8 s."""
    return instance(vrid, priority, vip, advert_int=0.2, version=3, extra=extra)


def test_the_higher_priority_preempts(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n2.start(fast(100))
    segment.wait_advertised(n2, 51)
    n1.start(fast(200))
    segment.wait_advertised(n1, 51, count=3)
    wait_holder(VIP, n1, [n2])
    before = len(segment.heard(n2, 51))
    segment.wait_advertised(n1, 51, count=5)
    assert len(segment.heard(n2, 51)) == before, f"{n2} goes on advertising beside the master"


def test_with_nopreempt_the_higher_priority_waits(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n2.start(fast(100))
    segment.wait_advertised(n2, 51)
    n1.start(fast(200, extra="nopreempt"))
    segment.wait_advertised(n2, 51, count=15)
    assert not segment.heard(n1, 51)
    assert (n1.host.holds(VIP), n2.host.holds(VIP)) == (False, True)
    n2.kill()
    segment.wait_advertised(n1, 51)


def test_preempt_delay_is_kept(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n2.start(fast(100))
    segment.wait_advertised(n2, 51)
    began = time.monotonic()
    n1.start(fast(200, extra="preempt_delay 3"))
    taken = segment.wait_advertised(n1, 51)
    # the delay runs from the first lower advertisement, then the rest of master_down_interval
    assert taken - began > 3.0
    wait_holder(VIP, n1, [n2])


def test_split_brain_of_equal_priorities_ends_with_the_higher_address(
    pair: tuple[Node, Node], segment: Segment
) -> None:
    n1, n2 = pair
    n1.start(fast(100))
    segment.wait_advertised(n1, 51)
    n2.start(fast(100))
    segment.wait_advertised(n1, 51, count=3)
    assert not n2.host.holds(VIP), "a BACKUP accepts the advertisement of an equal"
    n2.host.isolate()
    wait_holder(VIP, n2, [])
    assert n1.host.holds(VIP)
    n2.host.rejoin()
    segment.wait_advertised(n2, 51)
    assert wait_holder(VIP, n2, [n1]) < 2.0


def test_a_sync_group_moves_as_one(lab: Lab, pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n1.host.run(["ip", "link", "add", "aux", "up", "type", "veth", "peer", "aux-far"])
    n1.host.run(["ip", "link", "set", "aux-far", "up"])
    group = "vrrp_sync_group G { group { VI_51\n VI_52\n } }"
    other = "192.0.2.101"
    n1.start(group, fast(200, extra="track_interface { aux }"), fast(200, vrid=52, vip=other))
    segment.wait_advertised(n1, 51)
    n2.start(group, fast(100), fast(100, vrid=52, vip=other))
    segment.wait_advertised(n1, 52, count=5)
    n1.host.run(["ip", "link", "set", "aux-far", "down"])
    for vip in (VIP, other):
        wait_holder(vip, n2, [n1])
    n1.host.run(["ip", "link", "set", "aux-far", "up"])
    for vip in (VIP, other):
        wait_holder(vip, n1, [n2])


def test_a_backup_waits_as_long_as_the_v3_master_says(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n1.start(instance(51, 200, VIP, version=3, advert_int=0.6))
    segment.wait_advertised(n1, 51)
    n2.start(instance(51, 100, VIP, version=3, advert_int=0.1))
    learnt = segment.wait_advertised(n1, 51, count=2)
    segment.wait_advertised(n1, 51, count=4)
    assert not segment.heard(n2, 51, since=learnt), "it took over from a living master that is slower than itself"
    n1.kill()
    told, _ = segment.heard(n1, 51)[-1]
    taken = segment.wait_advertised(n2, 51)
    assert taken - told == pytest.approx(3 * 0.6 + (256 - 100) / 256 * 0.6, abs=0.1)


def test_v2_intervals_that_differ_are_refused(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n1.start(instance(51, 200, VIP, advert_int=1))
    segment.wait_advertised(n1, 51)
    n2.start(instance(51, 100, VIP, advert_int=2))
    segment.wait_advertised(n2, 51)
    assert n1.host.holds(VIP), "a MASTER must not yield to what it discards"
