"""Our daemon and the real keepalived take over from each other, in time."""

import signal
from statistics import median

import pytest
from lab_nodes import BOTH_WAYS, Node, Segment, instance, wait_holder

pytestmark = pytest.mark.parametrize("ways", BOTH_WAYS, ids=lambda ways: "-then-".join(ways))

VRIDS = range(1, 9)
PUNCTUAL = 0.050
"seconds after master_down_interval, or skew_time, in which a takeover must be seen on the wire"


def vip(vrid: int) -> str:
    return f"192.0.2.{100 + vrid}"


def backup_priority(vrid: int) -> int:
    """Different for each, so that the timers do not fire together: 100, 115, ... 205."""
    return 85 + 15 * vrid


def skew_time(vrid: int) -> float:
    return (256 - backup_priority(vrid)) / 256


def start(n1: Node, n2: Node, segment: Segment) -> None:
    """n1 is MASTER of all virtual routers, n2 has heard it."""
    n1.start(*(instance(vrid, 250, vip(vrid)) for vrid in VRIDS))
    segment.wait_advertised(n1, *VRIDS)
    n2.start(*(instance(vrid, backup_priority(vrid), vip(vrid)) for vrid in VRIDS))
    segment.wait_advertised(n1, *VRIDS, count=2)


def lateness(n1: Node, n2: Node, segment: Segment, interval_before: float) -> list[float]:
    """For each virtual router: when its takeover was seen, after the last word of n1 plus what n2 has to wait then."""
    late = []
    for vrid in VRIDS:
        told, _ = segment.heard(n1, vrid)[-1]
        first = segment.wait_announced(vip(vrid), n2, since=told)
        taken, _ = segment.heard(n2, vrid, since=told)[0]
        assert taken <= first, f"VRID {vrid}: announced before it advertised"
        late.append(first - told - interval_before - skew_time(vrid))
    return late


def assert_punctual(late: list[float], by: Node) -> None:
    assert min(late) > -0.005, f"too early: {late}"
    if by.kind == "pyvrrp":
        assert median(late) < PUNCTUAL, f"too late: {late}"


def test_a_killed_master_is_replaced_after_master_down_interval(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    start(n1, n2, segment)
    n1.kill()
    assert_punctual(lateness(n1, n2, segment, interval_before=3.0), n2)
    if n1.kind == "pyvrrp":  # keepalived leaves its addresses behind
        wait_holder(vip(1), n2, [n1], timeout=0.5)


def test_a_master_without_its_cable_is_replaced_and_preempts_when_it_is_mended(
    pair: tuple[Node, Node], segment: Segment
) -> None:
    n1, n2 = pair
    start(n1, n2, segment)
    n1.host.cut()
    assert_punctual(lateness(n1, n2, segment, interval_before=3.0), n2)
    wait_holder(vip(1), n2, [n1], timeout=0.5)
    n1.host.mend()
    segment.wait_advertised(n1, *VRIDS)
    for vrid in VRIDS:
        wait_holder(vip(vrid), n1, [n2])


def test_a_master_that_stops_says_so_and_is_replaced_after_skew_time(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    start(n1, n2, segment)
    n1.process.signal(signal.SIGTERM)
    late = lateness(n1, n2, segment, interval_before=0.0)
    for vrid in VRIDS:
        assert segment.heard(n1, vrid)[-1][1].priority == 0
    assert_punctual(late, n2)
    assert n1.process.wait() == 0
    wait_holder(vip(1), n2, [n1])
