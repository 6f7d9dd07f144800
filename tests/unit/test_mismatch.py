"""What is told about a router that has our VRID, word for word."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from pyvrrp.core.advertisement import ChecksumForm
from pyvrrp.core.auth import AuthenticationHeader, SimpleText
from pyvrrp.core.claim import read
from pyvrrp.core.datagram import Datagram, parse_ipv4
from pyvrrp.core.discard import Discard
from pyvrrp.core.mismatch import differences, sentence
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception
from pyvrrp.core.senders import Sender
from pyvrrp.core.transmission import Transmission
from pyvrrp.host.crypto import hmac_md5

US, PEER = IPv4Address("192.0.2.11"), IPv4Address("192.0.2.7")
VIP, OTHER = IPv4Address("192.0.2.100"), IPv4Address("10.0.0.9")
OURS = Parameters(vrid=51, addresses=(VIP,))
WHO = "192.0.2.7 (52:54:00:aa:bb:cc)"


def sent(parameters: Parameters, to=GROUP4, **options) -> Datagram:
    return parse_ipv4(Transmission(parameters, PEER, [to], **options).packet(parameters.priority, to))


def found(datagram: Datagram, ours: Parameters = OURS, **options) -> Sender:
    """What is noted of a packet: as Hearing does it."""
    reception = Reception(parameters=ours, **options)
    sender = Sender(source=datagram.source, first=100.0, vrid=51, macs={"52:54:00:aa:bb:cc": 101.0})
    try:
        sender.claim = read(datagram)
    except Discard:
        sender.claim = None
    try:
        reception.check(datagram)
    except Discard as refused:
        sender.differs = differences(sender.claim, refused, reception)
    else:
        sender.differs, sender.refused = reception.remarks, False
    return sender


def line(datagram: Datagram, ours: Parameters = OURS, *, master=False, followed=None, **options) -> str:
    return sentence(found(datagram, ours, **options), ours, master=master, followed=followed)


# --- another virtual router with our VRID ----------------------------------------------------------------------------


def test_another_set_of_addresses():
    stranger = sent(replace(OURS, addresses=(OTHER,)))
    advice = "its addresses are 10.0.0.9, ours 192.0.2.100: choose another virtual_router_id on one of the two"
    assert line(stranger) == f"{WHO} uses VRID 51 too: {advice}"
    assert line(stranger, master=True) == f"{WHO} uses VRID 51 too, and both are MASTER: {advice}"
    assert line(stranger, followed=PEER) == f"{WHO} uses VRID 51 too, and nobody serves ours: it is MASTER: {advice}"


def test_another_set_of_addresses_and_more():
    stranger = sent(replace(OURS, version=3, addresses=(OTHER,), advert_int=0.5))
    assert line(stranger, master=True) == (
        f"{WHO} uses VRID 51 too, and both are MASTER: its addresses are 10.0.0.9, ours 192.0.2.100; "
        "version: 3, ours is 2; advert_int: 0.5 s, ours is 1 s: choose another virtual_router_id on one of the two"
    )


def test_who_gives_up_is_no_master():
    assert "MASTER" not in line(
        parse_ipv4(Transmission(OURS, PEER, [GROUP4]).packet(0, GROUP4)), master=True, security=SimpleText(b"x")
    )


# --- the same one, configured differently ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "differs"),
    [
        ({"version": 3}, {"version": "3, ours is 2"}),
        ({"advert_int": 2.0}, {"advert_int": "2 s, ours is 1 s"}),
        (
            {"version": 3, "advert_int": 0.5, "addresses": (VIP, OTHER)},
            {
                "version": "3, ours is 2",
                "advert_int": "0.5 s, ours is 1 s",
                "virtual_ipaddress": "only they have 10.0.0.9",
            },
        ),
    ],
)
def test_every_field_is_compared_and_not_only_the_first_that_was_refused(theirs, differs):
    sender = found(sent(replace(OURS, **theirs)))
    assert sender.differs == differs
    assert sender.refused


def test_a_refused_one_is_told_by_field():
    assert line(sent(replace(OURS, advert_int=2.0)), master=True) == (
        f"{WHO} is configured differently, its advertisements are refused, and both are MASTER: "
        "advert_int: 2 s, ours is 1 s; make the two agree"
    )


def test_an_accepted_one_is_told_by_field():
    ours = replace(OURS, version=3)
    theirs = replace(ours, addresses=(VIP, OTHER), advert_int=2.0)
    assert line(sent(theirs, v3_checksum_as_v2=True), ours) == (
        f"{WHO} is configured differently, its advertisements count all the same: "
        "advert_int: 2 s, ours is 1 s (learnt); virtual_ipaddress: only they have 10.0.0.9; "
        "checksum: without pseudo-header (RFC 9568, v3_checksum_as_v2), ours has one; make the two agree"
    )


def test_checksums_without_pseudo_header_on_both_sides_agree():
    ours = replace(OURS, version=3)
    assert found(sent(ours, v3_checksum_as_v2=True), ours, checksum=ChecksumForm.MESSAGE).differs == {}
    assert found(sent(ours), ours, checksum=ChecksumForm.MESSAGE).differs == {
        "checksum": "with pseudo-header, ours has none (v3_checksum_as_v2)"
    }


def test_a_refused_one_has_its_checksum_compared_too():
    theirs = sent(replace(OURS, version=3), to=US, unicast=True, v3_checksum_as_v2=True)
    assert found(theirs, replace(OURS, version=3)).differs == {
        "unicast_peer": "sent to 192.0.2.11, we expect multicast",
        "checksum": "without pseudo-header (RFC 9568, v3_checksum_as_v2), ours has one",
    }


@pytest.mark.parametrize(
    ("theirs", "ours", "differs"),
    [
        (SimpleText(b"one"), None, {"auth_type": "PASS, ours is none"}),
        (None, SimpleText(b"one"), {"auth_type": "none, ours is PASS"}),
        (SimpleText(b"secret-1"), SimpleText(b"secret-2"), {"auth_pass": "the password differs"}),
        (AuthenticationHeader(b"one", hmac_md5), None, {"auth_type": "AH, ours is none"}),
        (SimpleText(b"one"), AuthenticationHeader(b"one", hmac_md5), {"auth_type": "PASS, ours is AH"}),
        (
            AuthenticationHeader(b"secret-1", hmac_md5),
            AuthenticationHeader(b"secret-2", hmac_md5),
            {"auth_pass": "AH: the digest differs: another key, or changed on the way"},
        ),
    ],
)
def test_authentication(theirs, ours, differs):
    datagram = sent(OURS, security=theirs)
    options = {} if ours is None else {"security": ours}
    assert found(datagram, **options).differs == differs
    assert "secret" not in line(datagram, **options)


def test_an_address_list_that_is_not_to_be_compared_is_not():
    assert found(
        sent(replace(OURS, version=3, addresses=(OTHER,))), replace(OURS, skip_check_adv_addr=True)
    ).differs == {"version": "3, ours is 2"}


def test_unicast_and_multicast():
    advice = "its advertisements are refused: unicast_peer: {}; make the two agree"
    unicast = sent(OURS, to=US, unicast=True)
    assert line(unicast).endswith(advice.format("sent to 192.0.2.11, we expect multicast"))
    assert line(sent(OURS), unicast=True).endswith(advice.format("sent to 224.0.0.18, we expect unicast"))
    assert line(unicast, unicast=True, peers={}).endswith(advice.format("192.0.2.7 is not in unicast_peer"))


def test_ipv6_whose_first_address_is_not_link_local():
    link_local, other = IPv6Address("fe80::1"), IPv6Address("2001:db8::1")
    ours = Parameters(vrid=51, version=3, family=6, addresses=(link_local, other))
    theirs = replace(ours, addresses=(other, link_local))
    source = IPv6Address("fe80::2")
    datagram = Datagram(source, GROUP6, 255, 112, b"", Transmission(theirs, source, [GROUP6]).packet(100, GROUP6))
    assert found(datagram, ours).differs == {"virtual_ipaddress": "the first address, 2001:db8::1, is not link-local"}


# --- packets that are at fault themselves ----------------------------------------------------------------------------


def changed(**fields) -> Datagram:
    return replace(sent(OURS), **fields)


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (changed(ttl=254), "TTL 254 of a multicast packet is not 255"),
        (changed(payload=b"\x21\x33"), "2 bytes, an advertisement has at least 8"),
        (changed(payload=b"\x41" + sent(OURS).payload[1:]), "version 4"),
        (changed(payload=sent(OURS).payload[:-1] + b"\1"), "checksum 0xb865 is wrong"),
        (
            changed(payload=bytes.fromhex("213300070001abcd") + bytes(28)),
            "CARP (OpenBSD, FreeBSD, pfSense, OPNsense) and not VRRP",
        ),
    ],
)
def test_a_packet_that_is_no_good(datagram, why):
    assert line(datagram, master=True) == f"{WHO} sends what is refused: {why}"
