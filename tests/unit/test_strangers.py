"""What is told about senders that belong to no vrrp_instance here, word for word."""

import logging
from ipaddress import IPv4Address, IPv6Address

import pytest

from pyvrrp.core.datagram import Datagram, parse_ipv4
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4
from pyvrrp.core.transmission import Transmission
from pyvrrp.daemon.strangers import Strangers

US, SEVEN = IPv4Address("192.0.2.11"), IPv4Address("192.0.2.7")
VIP, OTHER = IPv4Address("192.0.2.100"), IPv4Address("10.0.0.9")
OUR_MAC, MAC = "52:54:00:00:00:11", "52:54:00:aa:bb:cc"


class Ours:
    """An interface with VI_1: VRID 51, one VIP."""

    own_sources = {US: 1.0}  # noqa: RUF012
    owners = {VIP: ("VI_1", 51)}  # noqa: RUF012

    def __init__(self) -> None:
        self.attended: list[Strangers] = []

    def attend(self, teller: Strangers) -> None:
        self.attended.append(teller)


@pytest.fixture
def ours() -> Ours:
    return Ours()


@pytest.fixture
def strangers(ours, caplog) -> Strangers:
    caplog.set_level(logging.INFO)
    return Strangers("eth0", lambda: OUR_MAC, ours, ours)


def sent(vrid=77, *addresses, source=SEVEN, **parameters) -> Datagram:
    made = Parameters(vrid=vrid, addresses=addresses or (OTHER,), **parameters)
    return parse_ipv4(Transmission(made, source, [GROUP4]).packet(100, GROUP4))


def tell(strangers: Strangers, caplog, *macs: str) -> tuple[str, str]:
    """What is logged, once every MAC was seen: level and line."""
    for mac in macs:
        for (vrid, source), sender in list(strangers.register.senders.items()):
            strangers.saw(vrid or sender.vrid, source, mac, 101.0)
    for sender in strangers.register.due(110.0):
        strangers.tell(sender)
    (record,) = caplog.records
    return record.levelname, record.getMessage()


def test_a_foreign_vrid(strangers, ours, caplog):
    strangers.heard(77, sent(), 100.0)
    assert ours.attended == [strangers]
    assert tell(strangers, caplog, MAC) == (
        "INFO",
        f"eth0: 192.0.2.7 ({MAC}) advertises VRID 77, which no vrrp_instance here has: "
        "VRRPv2, priority 100, advert_int 1 s, auth_type none, virtual_ipaddress 10.0.0.9",
    )
    assert (caplog.records[0].VRRP_SOURCE, caplog.records[0].VRRP_MAC, caplog.records[0].VRRP_VRID) == (
        "192.0.2.7", MAC, 77,
    )  # fmt: skip


def test_a_virtual_mac(strangers, caplog):
    strangers.heard(77, sent(version=3), 100.0)
    assert (
        "192.0.2.7 (00:00:5e:00:01:4d, the virtual MAC of VRID 77 over IPv4) advertises"
        in tell(strangers, caplog, "00:00:5e:00:01:4d")[1]
    )


def test_our_address_under_another_vrid(strangers, caplog):
    strangers.heard(77, sent(77, OTHER, VIP), 100.0)
    assert tell(strangers, caplog, MAC) == (
        "WARNING",
        f"eth0: 192.0.2.7 ({MAC}) advertises VRID 77 with 192.0.2.100, which VI_1 here has under 51: both may be "
        "MASTER and hold it; give the two the same virtual_router_id, or one of them other addresses",
    )


def test_what_cannot_be_read(strangers, caplog):
    carp = Datagram(SEVEN, GROUP4, 255, 112, b"", bytes.fromhex("214d00070001abcd") + bytes(28))
    strangers.heard(77, carp, 100.0)
    assert tell(strangers, caplog, MAC) == (
        "INFO",
        f"eth0: 192.0.2.7 ({MAC}) sends what can't be read under VRID 77: "
        "CARP (OpenBSD, FreeBSD, pfSense, OPNsense) and not VRRP",
    )


def test_a_duplicate_of_our_address(strangers, caplog):
    strangers.heard_ourselves(51, US, 100.0)
    assert tell(strangers, caplog, MAC, OUR_MAC) == (
        "WARNING",
        f"eth0: 192.0.2.11 is our own address, but {MAC} sends VRRP packets (VRID 51) from it too: "
        "a duplicate address; give one of the two hosts another",
    )
    assert next(iter(strangers.register)).differs == {"source": "our own address, but another MAC: a duplicate address"}


def test_a_loop(strangers, caplog):
    strangers.heard_ourselves(51, US, 100.0)
    assert tell(strangers, caplog, OUR_MAC) == (
        "WARNING",
        f"eth0: our own VRRP packets (VRID 51) come back to us, from our address 192.0.2.11 and our MAC {OUR_MAC}: "
        "look for a loop, or a mirror port, in the network",
    )


def test_our_address_from_nobody_knows_where(strangers, caplog):
    strangers.heard_ourselves(51, US, 100.0)
    assert tell(strangers, caplog) == (
        "WARNING",
        "eth0: VRRP packets (VRID 51) come from our own address 192.0.2.11, we can't see from which MAC: another host "
        "has it too, another program on this one speaks VRRP, or the network has a loop",
    )


def test_a_clone_with_all_our_vrids_is_one_sender_and_one_line(strangers, ours, caplog):
    for vrid in range(1, 256):
        strangers.heard_ourselves(vrid, US, 100.0)
    assert len(strangers.register.senders) == len(ours.attended) == 1
    assert next(iter(strangers.register)).count == 255
    assert "(VRID 255)" in tell(strangers, caplog, MAC)[1]


def test_another_clusters_255_virtual_routers_find_room(strangers):
    for vrid in range(1, 256):
        strangers.heard(vrid, sent(vrid, IPv4Address(f"10.0.0.{vrid}")), 100.0)
    assert len(strangers.register.senders) == 255
    assert strangers.register.full == 0


def test_our_own_address_over_ipv6_with_a_vrid_that_is_not_ours(strangers, ours, caplog):
    link_local = IPv6Address("fe80::11")
    ours.own_sources = {link_local: 1.0}
    strangers.heard(
        77, Datagram(link_local, IPv6Address("ff02::12"), 255, 112, b"", b"\x31\x4d\x64\0\0\x64\0\0"), 100.0
    )
    assert "fe80::11 is our own address" in tell(strangers, caplog, MAC)[1]
