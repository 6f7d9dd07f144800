"""Transports and authentication, with the real keepalived on the other side."""

import pytest
from lab_nodes import BOTH_WAYS, Node, Segment, instance, wait_holder

pytestmark = pytest.mark.parametrize("ways", BOTH_WAYS, ids=lambda ways: "-then-".join(ways))

VIP, OTHER = "192.0.2.100", "192.0.2.101"


def hand_over_and_back(n1: Node, n2: Node, segment: Segment, vips: dict[int, str], high: str, low: str) -> None:
    """n1 is MASTER, n2 follows it silently, takes over when n1 is stopped, and yields when n1 returns.

    `vips` has a VIP of each VRID.
    """
    n1.start(high)
    segment.wait_advertised(n1, *vips)
    n2.start(low)
    segment.wait_advertised(n1, *vips, count=5)
    for vrid in vips:
        assert not segment.heard(n2, vrid), f"{n2} does not accept the advertisements of {n1} for VRID {vrid}"
    n1.process.stop()
    segment.wait_advertised(n2, *vips)
    for vip in vips.values():
        wait_holder(vip, n2, [n1])
    n1.start(high)
    segment.wait_advertised(n1, *vips)
    for vip in vips.values():
        wait_holder(vip, n1, [n2])


def authenticated(priority: int, password: str) -> str:
    """VRID 51 with PASS and VRID 52 with AH."""
    extra = "authentication {{\n auth_type {}\n auth_pass {}\n }}"
    return "".join(
        instance(vrid, priority, vip, extra=extra.format(auth_type, password))
        for vrid, vip, auth_type in ((51, VIP, "PASS"), (52, OTHER, "AH"))
    )


def test_authentication_with_the_same_password(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    high, low = (authenticated(priority, "s3cret") for priority in (200, 100))
    hand_over_and_back(n1, n2, segment, {51: VIP, 52: OTHER}, high, low)


def test_authentication_with_another_password_is_no_master(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    n1.start(authenticated(200, "s3cret"))
    segment.wait_advertised(n1, 51, 52)
    n2.start(authenticated(100, "wrong"))
    segment.wait_advertised(n2, 51, 52)
    for vip in (VIP, OTHER):
        assert n1.host.holds(vip)
        wait_holder(vip, n2, [])
    ours = n1 if n1.kind == "pyvrrp" else n2
    segment.wait_advertised(ours, 51, 52, count=3)  # keepalived 2.2.7 may fall silent while it hears what it refuses
    assert all(each["discarded"]["auth_failures"] for each in ours.status()["instances"])


def test_v3_ipv4_below_a_second(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    high, low = (instance(51, priority, VIP, version=3, advert_int=0.1) for priority in (200, 100))
    hand_over_and_back(n1, n2, segment, {51: VIP}, high, low)


def test_v3_ipv6(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    vip = "2001:db8::100"
    high, low = (instance(51, priority, "fe80::100", vip, version=3, advert_int=0.2) for priority in (200, 100))
    hand_over_and_back(n1, n2, segment, {51: vip}, high, low)
    assert segment.wait_announced(vip, n1, since=0)


def test_unicast(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    own = [f"unicast_src_ip 192.0.2.{me}\n unicast_peer {{ 192.0.2.{peer}\n }}" for me, peer in ((11, 12), (12, 11))]
    high, low = (
        instance(51, priority, VIP, version=3, advert_int=0.2, extra=extra)
        for priority, extra in zip((200, 100), own, strict=True)
    )
    hand_over_and_back(n1, n2, segment, {51: VIP}, high, low)


def test_many_addresses_and_excluded_ones(pair: tuple[Node, Node], segment: Segment) -> None:
    n1, n2 = pair
    vips = [f"192.0.2.{number}" for number in range(100, 120)]
    excluded = "virtual_ipaddress_excluded { 2001:db8::200/64\n }"
    high, low = (instance(51, priority, *vips, version=3, advert_int=0.2, extra=excluded) for priority in (200, 100))
    hand_over_and_back(n1, n2, segment, {51: "2001:db8::200"}, high, low)
    for vip in vips:
        wait_holder(vip, n1, [n2])
