"""A real keepalived that is configured differently: each difference has its line, with the MAC, and its status."""

import signal

import pytest
from lab_nodes import Node, Segment, instance

from pyvrrp.demo.lab import Lab, eventually

VIP, OTHER = "192.0.2.100", "192.0.2.150"
PASS = "authentication {{\n auth_type PASS\n auth_pass {}\n }}"


@pytest.fixture
def ours(lab: Lab) -> Node:
    return Node(lab, "pyvrrp", "n1", "192.0.2.11/24", "2001:db8::11/64")


@pytest.fixture
def theirs(lab: Lab) -> Node:
    return Node(lab, "keepalived", "n2", "192.0.2.12/24", "2001:db8::12/64")


def who(node: Node) -> str:
    return f"192.0.2.12 ({node.mac.hex(':')})"


def mismatch(node: Node) -> list[dict]:
    return node.status()["instances"][0]["mismatch"]


def differs(node: Node) -> dict[str, str]:
    (sender,) = mismatch(node)
    return sender["differs"]


def test_our_vrid_with_other_addresses(ours: Node, theirs: Node, segment: Segment) -> None:
    ours.start(instance(51, 200, VIP))
    segment.wait_advertised(ours, 51)
    theirs.start(instance(51, 100, OTHER))
    assert ours.logged("uses VRID 51") == (
        f"warning VI_51: {who(theirs)} uses VRID 51 too, and both are MASTER: its addresses are {OTHER}, "
        f"ours {VIP}: choose another virtual_router_id on one of the two"
    )
    (sender,) = mismatch(ours)
    assert (sender["source"], sender["macs"], sender["vrid"], sender["refused"]) == (
        "192.0.2.12", [theirs.mac.hex(":")], 51, False,
    )  # fmt: skip
    assert (sender["version"], sender["priority"], sender["advert_int"], sender["auth_type"], sender["addresses"]) == (
        2, 100, 1.0, "none", [OTHER],
    )  # fmt: skip


def test_our_vrid_with_other_addresses_and_a_higher_priority(ours: Node, theirs: Node, segment: Segment) -> None:
    theirs.start(instance(51, 200, OTHER))
    segment.wait_advertised(theirs, 51)
    ours.start(instance(51, 100, VIP))
    line = ours.logged("uses VRID 51")
    assert f"{who(theirs)} uses VRID 51 too, and nobody serves ours: it is MASTER: " in line


@pytest.mark.parametrize(
    ("we", "they", "field", "text"),
    [
        (PASS.format("one"), PASS.format("two"), "auth_pass", "the password differs"),
        ("", PASS.format("two"), "auth_type", "PASS, ours is none"),
    ],
)
def test_another_authentication(ours: Node, theirs: Node, segment: Segment, we: str, they: str, field: str, text: str):
    ours.start(instance(51, 200, VIP, extra=we))
    segment.wait_advertised(ours, 51)
    theirs.start(instance(51, 100, VIP, extra=they))
    assert ours.logged("is configured") == (
        f"warning VI_51: {who(theirs)} is configured differently, its advertisements are refused, "
        f"and both are MASTER: {field}: {text}; make the two agree"
    )
    assert differs(ours) == {field: text}
    assert "two" not in ours.process.output.replace("the two", "")


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"version": 3}, "version", "3, ours is 2"),
        ({"advert_int": 2}, "advert_int", "2 s, ours is 1 s"),
    ],
)
def test_another_version_or_interval(
    ours: Node, theirs: Node, segment: Segment, change: dict[str, int], field: str, text: str
) -> None:
    ours.start(instance(51, 200, VIP))
    segment.wait_advertised(ours, 51)
    theirs.start(instance(51, 100, VIP, **change))
    assert ours.logged("is configured") == (
        f"warning VI_51: {who(theirs)} is configured differently, its advertisements are refused, "
        f"and both are MASTER: {field}: {text}; make the two agree"
    )
    assert differs(ours) == {field: text}


def test_v3_learns_another_interval_and_says_so(ours: Node, theirs: Node, segment: Segment) -> None:
    theirs.start(instance(51, 200, VIP, version=3, advert_int=0.5))
    segment.wait_advertised(theirs, 51)
    ours.start(instance(51, 100, VIP, version=3))
    assert ours.logged("is configured") == (
        f"warning VI_51: {who(theirs)} is configured differently, its advertisements count all the same: "
        "advert_int: 0.5 s, ours is 1 s (learnt); make the two agree"
    )


def test_ipv6_with_other_addresses(ours: Node, theirs: Node, segment: Segment) -> None:
    ours.start(instance(51, 200, "fe80::100", "2001:db8::100", version=3))
    segment.wait_advertised(ours, 51)
    theirs.start(instance(51, 100, "fe80::200", "2001:db8::200", version=3))
    line = ours.logged("uses VRID 51")
    (link_local,) = {address for address in theirs.sources if address.is_link_local}
    assert f"{link_local} ({theirs.mac.hex(':')}) uses VRID 51 too, and both are MASTER: " in line


def test_a_foreign_vrid_and_our_address_under_another_one(ours: Node, theirs: Node, segment: Segment) -> None:
    ours.start(instance(51, 200, VIP))
    segment.wait_advertised(ours, 51)
    theirs.start(instance(77, 100, OTHER, extra=PASS.format("hidden")), instance(78, 100, VIP))
    assert ours.logged("VRID 77") == (
        f"info eth0: {who(theirs)} advertises VRID 77, which no vrrp_instance here has: "
        f"VRRPv2, priority 100, advert_int 1 s, auth_type PASS, virtual_ipaddress {OTHER}"
    )
    assert ours.logged("VRID 78") == (
        f"warning eth0: {who(theirs)} advertises VRID 78 with {VIP}, which VI_51 here has under 51: "
        "both may be MASTER and hold it; give the two the same virtual_router_id, or one of them other addresses"
    )
    segment.wait_advertised(theirs, 77, 78, count=3)
    status = ours.status()
    assert {(each["vrid"], each["source"], *each["macs"]) for each in status["foreign"]["eth0"]} == {
        (vrid, "192.0.2.12", theirs.mac.hex(":")) for vrid in (77, 78)
    }
    assert sum(each["count"] for each in status["foreign"]["eth0"]) == status["interfaces"]["eth0"]["vrid_errors"] >= 6
    assert "hidden" not in ours.process.output + str(status)
    assert status["instances"][0]["mismatch"] == []


def test_a_reload_that_takes_the_vrid_over_ends_it(ours: Node, theirs: Node, segment: Segment) -> None:
    ours.start(instance(51, 200, VIP))
    theirs.start(instance(77, 100, OTHER))
    ours.logged("VRID 77")
    ours.configure(instance(51, 200, VIP), instance(77, 50, OTHER))
    ours.process.signal(signal.SIGHUP)
    eventually(lambda: len(ours.status()["instances"]) == 2, "the reload", every=0.2)
    segment.wait_advertised(theirs, 77, count=2)
    assert ours.status()["foreign"]["eth0"] == []


def test_two_that_agree_again(ours: Node, theirs: Node, segment: Segment) -> None:
    """The peer was restarted with the right configuration: at once in the status, in the log a minute later."""
    theirs.start(instance(51, 200, VIP, version=3))
    segment.wait_advertised(theirs, 51)
    ours.start(instance(51, 100, VIP))
    ours.logged("is configured")
    theirs.process.stop()
    theirs.start(instance(51, 200, VIP))
    segment.wait_advertised(theirs, 51, count=2)
    assert mismatch(ours) == []
